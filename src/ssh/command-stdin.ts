import { Writable } from "node:stream";
import type { GuestProcess } from "./process.ts";
import type { StdinSource } from "./spec.ts";
import { StdinBatch } from "./stdin-batch.ts";

/** The writing end that a caller holds from the start; what is written waits until the command has its shell. */
export class StdinPipe extends Writable {
  #process: GuestProcess | null = null;
  #onProcess: (process: GuestProcess) => void = () => {};

  constructor() {
    super({ decodeStrings: true });
    // A command need not read all of its input: that it ended shows in its result.
    this.on("error", () => {});
  }

  attach(process: GuestProcess): void {
    this.#process = process;
    this.#onProcess(process);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#whenAttached((process) => process.writeStdin(chunk).then(() => done(), done));
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "buffer", done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#whenAttached((process) => {
      process.endStdin();
      done();
    });
  }

  #whenAttached(use: (process: GuestProcess) => void): void {
    if (this.#process) use(this.#process);
    else this.#onProcess = use;
  }
}

/**
 * Gives the command its input and then ends it. Resolves also when the command ends first, for it need not read all;
 * rejects with the source's own error.
 */
export async function feedStdin(source: StdinSource, process: GuestProcess): Promise<void> {
  if (source.kind === "pipe") return source.pipe.attach(process);
  if (source.kind === "bytes") {
    if (source.bytes.length > 0) await process.writeStdin(source.bytes).catch(() => {});
    return process.endStdin();
  }
  let isOver = false;
  void process.ended.then(() => {
    isOver = true;
  });
  const batch = new StdinBatch((bytes) => process.writeStdin(bytes));
  for await (const chunk of source.chunks) {
    if (isOver || !(await batch.add(toBytes(chunk)))) return;
  }
  if (await batch.flush()) process.endStdin();
}

function toBytes(chunk: unknown): Uint8Array {
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`stdin gave ${typeof chunk} where strings and bytes are understood`);
}
