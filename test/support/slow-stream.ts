import { Writable } from "node:stream";

/** A writing end that takes what it is given, and says "wait" after each piece until it is let go on. */
export class Slow extends Writable {
  written = "";
  #proceed: (() => void)[] = [];
  isSlow = false;

  constructor(highWaterMark = 1) {
    super({ highWaterMark });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written += chunk.toString("latin1");
    if (this.isSlow) this.#proceed.push(done);
    else done();
  }

  letGo(): void {
    this.isSlow = false;
    for (const done of this.#proceed.splice(0)) done();
  }
}
