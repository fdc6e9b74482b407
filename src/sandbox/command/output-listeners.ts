import type { OutputStream } from "../../ssh/spec/command-spec.ts";
import { PieceQueue } from "../../util/piece-queue.ts";
import { PromisedWork } from "./promised-work.ts";
import type { OutputListener } from "./run-options.ts";

/** In the order of the numbers that their pieces have. */
export const STREAMS: readonly OutputStream[] = ["stdout", "stderr"];

/** Who hears a command's output as it comes. A promise that a listener returns is waited for, and what it is busy with is counted. */
export class OutputListeners {
  readonly #onRoom: () => void;
  readonly #onFailure: (error: unknown) => void;
  #listeners: { readonly [stream in OutputStream]: OutputListener | null } = { stdout: null, stderr: null };
  readonly #decoders = { stdout: newDecoder(), stderr: newDecoder() };
  #failure: { readonly error: unknown } | null = null;
  readonly #promised = new PromisedWork();
  readonly #waiting = new PieceQueue();
  #isEnded = false;
  #onIdle: () => void = () => {};

  /** `onRoom` is called when a listener has settled what it promised, `onFailure` with what such a promise rejects with. */
  constructor(onRoom: () => void, onFailure: (error: unknown) => void) {
    this.#onRoom = onRoom;
    this.#onFailure = onFailure;
  }

  set(onStdout: OutputListener | null, onStderr: OutputListener | null): void {
    this.#listeners = { stdout: onStdout, stderr: onStderr };
  }

  get isFull(): boolean {
    return this.#promised.isFull;
  }

  get hasRoom(): boolean {
    return this.#waiting.isEmpty && this.#promised.hasRoom;
  }

  /** Throws what a listener throws. Where one has failed, none hears more. */
  hear(stream: OutputStream, bytes: Buffer): void {
    if (!this.#listeners[stream] || this.#failure) return;
    if (this.isFull || !this.#waiting.isEmpty) this.#waiting.push(STREAMS.indexOf(stream), bytes);
    else this.#tell(stream, new Uint8Array(bytes));
  }

  /** No more will come. Half a character at the end is handed out as U+FFFD. */
  end(): void {
    this.#isEnded = true;
    this.#tellWaiting();
  }

  /** Nobody hears more, also of what has come. */
  close(): void {
    this.set(null, null);
    this.#waiting.clear();
  }

  /** They are done with all that came. Rejects with the first failure of one. */
  async settled(): Promise<void> {
    if (!this.#promised.isNone)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    if (this.#failure) throw this.#failure.error;
  }

  #tellWaiting(): void {
    while (!this.isFull && !this.#failure) {
      const piece = this.#waiting.shift();
      if (piece === null) break;
      this.#tell(STREAMS[piece.kind] ?? "stdout", piece.bytes);
    }
    if (!this.#isEnded || !this.#waiting.isEmpty) return;
    for (const stream of STREAMS) this.#call(stream, this.#decoders[stream].decode(), new Uint8Array());
  }

  #tell(stream: OutputStream, bytes: Uint8Array): void {
    this.#call(stream, this.#decoders[stream].decode(bytes, { stream: true }), bytes);
  }

  #call(stream: OutputStream, text: string, bytes: Uint8Array): void {
    if (this.#failure || (text === "" && bytes.length === 0)) return;
    try {
      const returned = this.#listeners[stream]?.(text, bytes);
      const fail = (error: unknown) => this.#fail(error);
      this.#promised.add(returned, bytes.length, { fail, settled: () => this.#goOn() });
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  #goOn(): void {
    try {
      this.#tellWaiting();
    } catch (error) {
      this.#fail(error);
    }
    if (this.#promised.isNone) this.#onIdle();
    this.#onRoom();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#onFailure(error);
  }
}

/** A mark at the start is text like any other, as it is in the result. */
export function newDecoder() {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}
