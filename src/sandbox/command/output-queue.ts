import { ValidationError } from "../../errors.ts";
import type { OutputStream } from "../../ssh/spec/command-spec.ts";
import { PieceQueue } from "../../util/piece-queue.ts";
import { newDecoder, OutputListeners, STREAMS } from "./output-listeners.ts";
import type { OutputListener } from "./run-options.ts";

/** A piece of output as it came. Text is decoded as UTF-8 across the pieces of its stream. */
export interface OutputChunk {
  readonly stream: OutputStream;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** Beyond this the guest's writer has to wait for the reader. */
const FULL_BYTES = 256 * 1024;
/** How much is kept for an iteration that may still begin. */
const UNCLAIMED_BYTES = 1024 * 1024;

/**
 * The way of a command's output to its readers. Until somebody iterates or awaits, it is kept for an iteration;
 * an iteration holds the guest's writer back, and so do promises of listeners; where the result is awaited only, output flows freely.
 */
export class OutputQueue {
  readonly #resume: () => void;
  readonly #listeners: OutputListeners;
  #mode: "unclaimed" | "iterated" | "flowing" = "unclaimed";
  #lostForIteration = false;
  readonly #pieces = new PieceQueue();
  #isPaused = false;
  #isEnded = false;
  #wake: () => void = () => {};
  readonly #read = { stdout: newDecoder(), stderr: newDecoder() };

  /** `resume` is called when a writer that was held back may go on, `fail` with what a listener's promise rejects with. */
  constructor(resume: () => void, fail: (error: unknown) => void = () => {}) {
    this.#resume = resume;
    this.#listeners = new OutputListeners(() => this.#resumeIfRoom(), fail);
  }

  listen(onStdout: OutputListener | null, onStderr: OutputListener | null): void {
    this.#listeners.set(onStdout, onStderr);
  }

  /** False: no more until `resume` is called. Throws what a listener throws. */
  take(stream: OutputStream, bytes: Buffer): boolean {
    if (this.#isEnded) return true;
    this.#lostForIteration ||= this.#mode === "flowing";
    this.#listeners.hear(stream, bytes);
    if (this.#mode !== "flowing") this.#keep(stream, bytes);
    this.#isPaused ||= this.#listeners.isFull || this.#isReaderBehind; // until it is resumed
    return !this.#isPaused;
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
    this.#listeners.end();
  }

  /** The run is over: listeners hear no more, also of what has come. */
  close(): void {
    this.#listeners.close();
    this.end();
  }

  /** No more will come, and the listeners are done with all that came. Rejects with the first failure of one. */
  async settled(): Promise<void> {
    this.end();
    await this.#listeners.settled();
  }

  /** The next piece; null at the end. */
  async next(): Promise<OutputChunk | null> {
    while (this.#pieces.isEmpty && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const piece = this.#pieces.shift();
    this.#resumeIfRoom();
    if (piece === null) return this.#halfCharacter();
    const stream = STREAMS[piece.kind] ?? "stdout";
    return { stream, text: this.#read[stream].decode(piece.bytes, { stream: true }), bytes: piece.bytes };
  }

  #halfCharacter(): OutputChunk | null {
    for (const stream of STREAMS) {
      const text = this.#read[stream].decode();
      if (text !== "") return { stream, text, bytes: new Uint8Array() };
    }
    return null;
  }

  #keep(stream: OutputStream, bytes: Buffer): void {
    this.#pieces.push(STREAMS.indexOf(stream), bytes);
    this.#wake();
    if (this.#mode === "unclaimed" && this.#pieces.bytes > UNCLAIMED_BYTES) this.#drop();
  }

  get #isReaderBehind(): boolean {
    return this.#mode === "iterated" && this.#pieces.bytes >= FULL_BYTES;
  }

  #drop(): void {
    this.#mode = "flowing";
    this.#lostForIteration ||= !this.#pieces.isEmpty;
    this.#pieces.clear();
    this.#resumeIfRoom();
  }

  #resumeIfRoom(): void {
    const isReaderBehind = this.#mode === "iterated" && this.#pieces.bytes > FULL_BYTES / 2;
    if (!this.#isPaused || isReaderBehind || !this.#listeners.hasRoom) return;
    this.#isPaused = false;
    this.#resume();
  }
}
