/** What a terminal was told by a guest that may not get to take it back. */
export interface Screen {
  take(bytes: Uint8Array): void;
  /** The bytes that put back what is still set; "" where nothing is. */
  restore(): string;
}

/**
 * The modes that a person is lost with: alternate screens (47, 1047, 1049), a hidden cursor (25), keys and pastes in other clothes
 * (1, 66, 2004), reports of the mouse and of the focus (9, 1000 to 1006, 1015, 1016).
 */
const MODES = new Set([
  1, 9, 25, 47, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004,
]);
/** Set where nothing was said. */
const ON_AT_FIRST = new Set([25]);
/** `ESC [ ? 1 ; 25 h` and `l`, `ESC [ 1 ; 31 m`, and `ESC c`, which resets all. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is terminals' language
const SEQUENCE = /\u001b(?:\[\?([\d;]{1,40})([hl])|\[([\d;:]{0,40})m|(c))/g;
/** A sequence may come in two pieces. */
const LONGEST = 48;

export function watchScreen(): Screen {
  const changed = new Set<number>();
  let isColored = false;
  let lastNewline = true;
  let tail = "";
  return {
    take(bytes) {
      if (bytes.length === 0) return;
      const text = tail + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
      let end = 0;
      for (const match of text.matchAll(SEQUENCE)) {
        const [all, modes, letter, colors, reset] = match;
        end = match.index + all.length;
        if (reset) changed.clear();
        if (colors !== undefined || reset) isColored = !reset && !/^[0;]*$/.test(colors ?? "");
        for (const mode of modes?.split(";").map(Number) ?? []) {
          if (!MODES.has(mode)) continue;
          if ((letter === "h") === ON_AT_FIRST.has(mode)) changed.delete(mode);
          else changed.add(mode);
        }
      }
      tail = text.slice(Math.max(end, text.length - LONGEST));
      lastNewline = bytes.at(-1) === 0x0a;
    },
    restore() {
      const modes = [...changed].map((mode) => `\u001b[?${mode}${ON_AT_FIRST.has(mode) ? "h" : "l"}`);
      return `${modes.join("")}${isColored ? "\u001b[0m" : ""}${lastNewline ? "" : "\r\n"}`;
    },
  };
}
