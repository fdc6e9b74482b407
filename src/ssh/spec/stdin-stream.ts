import type { Readable } from "node:stream";
import { StdinBatch } from "./stdin-batch.ts";
import { isReadable, type Piece, readIterable, readStream, type SourceReader } from "./stdin-reader.ts";
import { Failure, type HeldSource, type InputTaker } from "./stdin-source.ts";

export type StdinChunks = Readable | AsyncIterable<string | Uint8Array>;

/** A source that is read as the command takes it. Of a stream the failures are heard from the first moment. */
export class StdinStream implements HeldSource {
  readonly #failure = new Failure();
  readonly #reader: SourceReader;
  #isReleased = false;
  #stopWaiting: () => void = () => {};

  constructor(chunks: StdinChunks) {
    const onError = (error: unknown) => this.#failure.tell(error);
    this.#reader = isReadable(chunks) ? readStream(chunks, onError) : readIterable(chunks);
  }

  onBroken(listener: (error: unknown) => void): void {
    this.#failure.listen(listener);
  }

  async feed(process: InputTaker): Promise<void> {
    const batch = new StdinBatch(async (bytes) => {
      if (process.isOver) throw new Error("the command is over");
      await process.writeStdin(bytes);
    });
    try {
      for (let piece = await this.#next(); piece !== "released"; piece = await this.#next()) {
        if (piece === "end") {
          if ((await batch.flush()) && !process.isOver) process.endStdin();
          return;
        }
        if (!(await batch.add(toBytes(piece.chunk)))) return this.release();
      }
    } catch (error) {
      this.#failure.tell(error);
      this.release();
    }
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#failure.close();
    this.#stopWaiting();
    this.#reader.release();
  }

  /** The source's next piece, unless the command ends while it is waited for. */
  #next(): Promise<Piece | "released"> {
    return new Promise((resolve, reject) => {
      if (this.#isReleased) return resolve("released");
      this.#stopWaiting = () => resolve("released");
      this.#reader.next().then(resolve, reject);
    });
  }
}

function toBytes(chunk: unknown): Uint8Array {
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`stdin gave ${typeof chunk} where strings and bytes are understood`);
}
