import { trimEndOf } from "../../util/trim-end.ts";

/** A guest that never ends its line must not fill the memory of a reader. */
const LONGEST_LINE = 64 * 1024;

/** Makes lines of the bytes of a log, however they are cut, and drops the ends; of what is no text each part is U+FFFD. */
export class LineReader {
  readonly #isShown: (line: string) => boolean;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #rest = "";

  /** Of the lines come those that are shown. */
  constructor(isShown: (line: string) => boolean = () => true) {
    this.#isShown = isShown;
  }

  /** The lines that are whole by now; one that is very long comes in pieces. */
  take(bytes: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    const rest = lines.pop() ?? "";
    const isLong = rest.length > LONGEST_LINE;
    this.#rest = isLong ? "" : rest;
    return this.#show(isLong ? [...lines, rest] : lines);
  }

  /** What has no end yet. */
  end(): string[] {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return this.#show(rest === "" ? [] : [rest]);
  }

  #show(lines: readonly string[]): string[] {
    return lines.map(clean).filter(this.#isShown);
  }
}

/** A console ends its lines with a carriage return too. */
function clean(line: string): string {
  return trimEndOf(line, "\r");
}
