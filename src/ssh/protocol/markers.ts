/** What begins a line of ours within a command's output. */
const START = 0x01;
const NEWLINE = 0x0a;
/** A line that is longer than this, its newline included, is none of ours. */
const LONGEST_MARKER = 256;

/**
 * Tells a command's output from the lines by which the guest's scripts say what happens: \001, a word that no command
 * knows, more words, a newline. Both come on the same stream. Output is handed on at once, but for an end that may be
 * the beginning of such a line.
 */
export class MarkerSplitter {
  readonly #prefix: Buffer;
  readonly #onBytes: (bytes: Buffer) => boolean;
  readonly #onMarker: (words: string[]) => void;
  #held: Buffer | null = null;

  constructor(token: string, onBytes: (bytes: Buffer) => boolean, onMarker: (words: string[]) => void) {
    this.#prefix = Buffer.from(`\u0001${token}`);
    this.#onBytes = onBytes;
    this.#onMarker = onMarker;
  }

  /** What the last piece of output was answered with: false means no more for now. */
  take(chunk: Buffer): boolean {
    const data = this.#held ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = null;
    let flows = true;
    let at = 0;
    const handOn = (end: number) => {
      if (end > at) flows = this.#onBytes(data.subarray(at, end));
      at = end;
    };
    for (let start = data.indexOf(this.#prefix); start !== -1; ) {
      const words = start + this.#prefix.length;
      const length = data.subarray(words, start + LONGEST_MARKER).indexOf(NEWLINE);
      if (length === -1 && data.length - start < LONGEST_MARKER) {
        handOn(start);
        this.#held = Buffer.from(data.subarray(start));
        return flows;
      }
      if (length !== -1) {
        handOn(start);
        this.#onMarker(wordsOf(data, words, words + length));
        at = words + length + 1;
      }
      start = data.indexOf(this.#prefix, Math.max(at, words));
    }
    const rest = this.#possibleStart(data, at);
    if (rest < data.length) this.#held = Buffer.from(data.subarray(rest));
    handOn(rest);
    return flows;
  }

  /** Where the end of `data` may be the beginning of a marker; its length where it can't. */
  #possibleStart(data: Buffer, from: number): number {
    const start = data.indexOf(START, Math.max(from, data.length - this.#prefix.length + 1));
    if (start === -1) return data.length;
    const isBeginning = this.#prefix.subarray(0, data.length - start).equals(data.subarray(start));
    return isBeginning ? start : this.#possibleStart(data, start + 1);
  }
}

function wordsOf(data: Buffer, start: number, end: number): string[] {
  return data
    .toString("latin1", start, end)
    .split(/\s+/)
    .filter((word) => word !== "");
}
