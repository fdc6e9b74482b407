import { Writable } from "node:stream";
import { Failure, type HeldSource, type InputTaker } from "./stdin-source.ts";

/**
 * The writing end that a caller holds from the start; what is written waits until the command has its shell. Destroyed with an error it
 * is broken, as by a `pipeline` whose source failed; destroyed without one its input has ended there.
 */
export class StdinPipe extends Writable implements HeldSource {
  readonly #failure = new Failure();
  #process: InputTaker | null = null;
  #waiting: ((process: InputTaker) => void)[] = [];
  #sent: Promise<void> = Promise.resolve();
  /** What is written is of no use to anybody any more: the command need not read all of its input. */
  #isRefused = false;

  constructor() {
    super({ decodeStrings: true });
    this.on("error", () => {}); // told by onBroken
  }

  async feed(process: InputTaker): Promise<void> {
    this.#process = process;
    for (const use of this.#waiting.splice(0)) use(process);
  }

  onBroken(listener: (error: unknown) => void): void {
    this.#failure.listen(listener);
  }

  release(): void {
    this.#isRefused = true;
    this.#failure.close();
    this.#process = null;
    this.#waiting = [];
    this.destroy();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#whenFed((process) => {
      this.#sent = this.#send(process, chunk);
      this.#sent.then(() => done(), done);
    });
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "buffer", done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#whenFed((process) => {
      this.#end(process);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (error && !this.#isRefused) this.#failure.tell(error);
    else if (!this.#isRefused && !this.writableFinished) this.#whenFed((process) => this.#end(process));
    done(error);
  }

  async #send(process: InputTaker, bytes: Uint8Array): Promise<void> {
    try {
      await process.writeStdin(bytes);
    } catch (error) {
      this.#isRefused = true;
      throw error;
    }
  }

  /** Behind what is on its way already. */
  #end(process: InputTaker): void {
    const end = () => {
      if (!process.isOver) process.endStdin();
    };
    this.#sent.then(end, () => {});
  }

  #whenFed(use: (process: InputTaker) => void): void {
    if (this.#process) use(this.#process);
    else this.#waiting.push(use);
  }
}
