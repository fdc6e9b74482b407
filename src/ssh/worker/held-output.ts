import type { OutputStream } from "../spec/command-spec.ts";
import type { OutputSink } from "../transport/channel.ts";

/** Of each stream; what is more is handed on, and taken for the command's. */
const MOST_BYTES = 64 * 1024;

/** What a shell prints that was started ahead of time, and has been given a command: it is the command's only if that begins. */
export class HeldOutput {
  readonly #sink: OutputSink;
  /** Null where nothing is held back any more. */
  readonly #pieces: Record<OutputStream, Buffer[] | null>;
  readonly #bytes = { stdout: 0, stderr: 0 };

  constructor(sink: OutputSink, holds: boolean) {
    this.#sink = sink;
    this.#pieces = { stdout: holds ? [] : null, stderr: holds ? [] : null };
  }

  /** False: no more for now. */
  take(stream: OutputStream, bytes: Buffer): boolean {
    const pieces = this.#pieces[stream];
    if (pieces === null) return this.#sink(stream, bytes);
    pieces.push(Buffer.from(bytes));
    this.#bytes[stream] += bytes.length;
    return this.#bytes[stream] <= MOST_BYTES || this.release(stream);
  }

  /** It is the command's. */
  release(stream: OutputStream): boolean {
    const pieces = this.#pieces[stream] ?? [];
    this.#pieces[stream] = null;
    let flows = true;
    for (const piece of pieces) flows = this.#sink(stream, piece);
    return flows;
  }

  releaseAll(): void {
    this.release("stdout");
    this.release("stderr");
  }
}
