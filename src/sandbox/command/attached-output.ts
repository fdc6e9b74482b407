import type { Writable } from "node:stream";
import { PromisedWork } from "./promised-work.ts";

interface Around {
  /** Called when there is room again after there was none. */
  readonly askForMore: () => void;
  /** Hears what `onOutput` throws, or rejects with. */
  readonly fail: (error: unknown) => void;
}

/** The way of a terminal's output to a stream, past a listener that sees it first. What the listener promises is counted until it is settled. */
export class AttachedOutput {
  readonly #stdout: Writable;
  readonly #onOutput: (bytes: Uint8Array) => unknown;
  readonly #around: Around;
  readonly #promised = new PromisedWork();
  #isUndrained = false;
  #isWaiting = false;

  constructor(stdout: Writable, onOutput: (bytes: Uint8Array) => unknown, around: Around) {
    this.#stdout = stdout;
    this.#onOutput = onOutput;
    this.#around = around;
  }

  /** False: no more until it is asked for. */
  write(bytes: Buffer): boolean {
    this.#show(bytes);
    if (!this.#stdout.write(bytes)) this.#isUndrained = true;
    this.#isWaiting ||= this.#isUndrained || this.#promised.isFull;
    return !this.#isWaiting;
  }

  /** The stream takes more. */
  drained(): void {
    this.#isUndrained = false;
    this.#askIfRoom();
  }

  /** Nothing more is asked for. */
  close(): void {
    this.#isUndrained = true;
  }

  #show(bytes: Buffer): void {
    const { fail } = this.#around;
    try {
      this.#promised.add(this.#onOutput(bytes), bytes.length, { fail, settled: () => this.#askIfRoom() });
    } catch (error) {
      fail(error);
    }
  }

  #askIfRoom(): void {
    if (!this.#isWaiting || this.#isUndrained || !this.#promised.hasRoom) return;
    this.#isWaiting = false;
    this.#around.askForMore();
  }
}
