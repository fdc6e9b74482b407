import { quoteText } from "../../util/quote.ts";

const HEADING = "# Written by smolvm: setEnvVars() replaces this file.\n";

/** The file that login shells read: one `export` for each variable, its value in single quotes. */
export function encodeVariables(variables: Readonly<Record<string, string>>): string {
  const lines = Object.keys(variables)
    .sort()
    .map((name) => `export ${name}=${quoteText(variables[name] ?? "")}\n`);
  return HEADING + lines.join("");
}

/** What `encodeVariables` wrote; null where the text is something else. Never throws. */
export function decodeVariables(text: string): Record<string, string> | null {
  if (text === "") return {};
  if (!text.startsWith(HEADING)) return null;
  const variables: Record<string, string> = {};
  let at = HEADING.length;
  while (at < text.length) {
    const start = /export ([A-Za-z_][A-Za-z0-9_]*)='/y;
    start.lastIndex = at;
    const name = start.exec(text)?.[1];
    if (name === undefined) return null;
    const value = readQuoted(text, start.lastIndex);
    if (value === null) return null;
    Object.defineProperty(variables, name, {
      value: value.text,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    at = value.end;
  }
  return variables;
}

/** A quoted text up to the line's end; within it `'\''` stands for a quote. */
function readQuoted(text: string, start: number): { text: string; end: number } | null {
  const pieces: string[] = [];
  for (let at = start; ; ) {
    const quote = text.indexOf("'", at);
    if (quote === -1) return null;
    pieces.push(text.slice(at, quote));
    if (text.startsWith("'\\''", quote)) {
      pieces.push("'");
      at = quote + 4;
    } else if (text[quote + 1] === "\n") {
      return { text: pieces.join(""), end: quote + 2 };
    } else return null;
  }
}
