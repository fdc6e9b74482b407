/**
 * What steers a terminal or turns the order of letters: C0 but newline and tab, DEL, C1, and the marks, embeddings, overrides and isolates of
 * bidirectional text; and the two line ends that only some know.
 */
const STEERING = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A text that may come from a guest, for a person: what would steer the terminal is shown as `\x1b` or `\u202e` instead. */
export function tame(text: string): string {
  return text.replaceAll("\r\n", "\n").replaceAll(STEERING, visible);
}

/** The same on one line: a cell of a table, a value behind its name. */
export function tameLine(text: string): string {
  return tame(text).replaceAll("\n", "\\n");
}

const LONGEST_WORDS = 300;

/** Some words of a guest, as a part of a sentence: one line, of which the end is left out where it is long. */
export function tameWords(text: string): string {
  const line = tame(text.slice(0, 4 * LONGEST_WORDS))
    .trim()
    .replaceAll(/\s+/g, " ");
  return line.length > LONGEST_WORDS || text.length > 4 * LONGEST_WORDS
    ? `${line.slice(0, LONGEST_WORDS - 1)}…`
    : line;
}

/** JSON leaves some of them as they are, where a terminal may show the document. */
export function tameJson(json: string): string {
  return json.replaceAll(STEERING, (character) => unicodeEscape(character));
}

function visible(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : unicodeEscape(character);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
