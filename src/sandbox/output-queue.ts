import { ValidationError } from "../errors.ts";
import type { OutputStream } from "../ssh/channel.ts";
import type { OutputChunk } from "./run.ts";
import type { OutputListener } from "./run-options.ts";

/** Beyond this the guest's writer has to wait for the reader. */
const FULL_BYTES = 256 * 1024;
/** How much is kept for an iteration that may still begin. */
const UNCLAIMED_BYTES = 1024 * 1024;

/**
 * The way of a command's output to whoever reads it. Until somebody iterates or awaits, it is kept for an iteration;
 * an iteration holds the guest's writer back; where the result is awaited only, output flows freely.
 */
export class OutputQueue {
  readonly #resume: () => void;
  #mode: "unclaimed" | "iterated" | "flowing" = "unclaimed";
  #lostForIteration = false;
  #chunks: OutputChunk[] = [];
  #bytes = 0;
  #isPaused = false;
  #isEnded = false;
  #wake: () => void = () => {};
  #listeners: { readonly stdout: OutputListener | null; readonly stderr: OutputListener | null } = {
    stdout: null,
    stderr: null,
  };
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  /** `resume` is called when a writer that was held back may go on. */
  constructor(resume: () => void) {
    this.#resume = resume;
  }

  listen(onStdout: OutputListener | null, onStderr: OutputListener | null): void {
    this.#listeners = { stdout: onStdout, stderr: onStderr };
  }

  /** False: no more until `resume` is called. Throws what a listener throws. */
  take(stream: OutputStream, bytes: Buffer): boolean {
    this.#lostForIteration ||= this.#mode === "flowing";
    if (this.#mode === "flowing" && !this.#listeners[stream]) return true;
    const text = this.#decoders[stream].decode(bytes, { stream: true });
    return this.#add({ stream, text, bytes: new Uint8Array(bytes) });
  }

  /** Begins an iteration: there can be one, and not after output was let go. */
  claim(): void {
    if (this.#mode === "iterated") throw new ValidationError("A run can be iterated only once.");
    if (this.#lostForIteration) {
      throw new ValidationError("A run must be iterated from the start: some of its output is gone already.");
    }
    this.#mode = "iterated";
  }

  /** Nobody iterates (any more): output only goes into the result. An iteration that is under way goes on. */
  letFlow(): void {
    if (this.#mode === "unclaimed") this.#drop();
  }

  /** The reader has left. */
  abandon(): void {
    this.#drop();
  }

  /** No more will come. Half a character at the end is handed out as U+FFFD. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#wake();
    for (const stream of ["stdout", "stderr"] as const) {
      const text = this.#decoders[stream].decode();
      if (text !== "") this.#add({ stream, text, bytes: new Uint8Array() });
    }
  }

  /** The next piece; null at the end. */
  async next(): Promise<OutputChunk | null> {
    while (this.#chunks.length === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const chunk = this.#chunks.shift() ?? null;
    this.#bytes -= chunk?.bytes.length ?? 0;
    this.#resumeIfRoom();
    return chunk;
  }

  #add(chunk: OutputChunk): boolean {
    this.#listeners[chunk.stream]?.(chunk.text, chunk.bytes);
    if (this.#mode === "flowing") return true;
    this.#chunks.push(chunk);
    this.#bytes += chunk.bytes.length;
    this.#wake();
    if (this.#mode === "unclaimed" && this.#bytes > UNCLAIMED_BYTES) this.#drop();
    this.#isPaused = this.#mode === "iterated" && this.#bytes >= FULL_BYTES;
    return !this.#isPaused;
  }

  #drop(): void {
    this.#mode = "flowing";
    this.#lostForIteration ||= this.#bytes > 0;
    this.#chunks = [];
    this.#bytes = 0;
    this.#resumeIfRoom();
  }

  #resumeIfRoom(): void {
    if (!this.#isPaused || this.#bytes > FULL_BYTES / 2) return;
    this.#isPaused = false;
    this.#resume();
  }
}
