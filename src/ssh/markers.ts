/** What begins a line of ours amid a command's output. */
const START = 0x01;
/** A line that is longer than this is none of ours. */
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
    for (let start = data.indexOf(this.#prefix); start !== -1; start = data.indexOf(this.#prefix, at)) {
      const end = data.indexOf("\n", start);
      if (end === -1 && data.length - start <= LONGEST_MARKER) {
        if (start > at) flows = this.#onBytes(data.subarray(at, start));
        this.#held = data.subarray(start);
        return flows;
      }
      if (end === -1) break;
      if (start > at) flows = this.#onBytes(data.subarray(at, start));
      this.#onMarker(wordsOf(data, start + this.#prefix.length, end));
      at = end + 1;
    }
    const rest = data.length - this.#possibleStart(data, at);
    if (rest > 0) this.#held = data.subarray(data.length - rest);
    return at < data.length - rest ? this.#onBytes(data.subarray(at, data.length - rest)) : flows;
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
