/** Takes bytes; resolves when the guest has them, rejects when it never will. */
type Send = (bytes: Uint8Array) => Promise<void>;

/** As much as fits into two packets. */
const FULL_BYTES = 64 * 1024;

/**
 * Sends small pieces that come one right after the other as one: a packet costs an emulated CPU as much as thousands of bytes.
 * A piece that comes alone goes at once.
 */
export class StdinBatch {
  readonly #send: Send;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #isScheduled = false;
  #isRefused = false;
  #sent: Promise<void> = Promise.resolve();

  constructor(send: Send) {
    this.#send = send;
  }

  /** Resolves when there is room for more; false: nobody takes it any more. */
  async add(bytes: Uint8Array): Promise<boolean> {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes >= FULL_BYTES) return await this.flush();
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => {
        this.#isScheduled = false;
        void this.flush();
      });
    }
    return !this.#isRefused;
  }

  /** Resolves when the guest has all that was added; false: it does not take it any more. */
  async flush(): Promise<boolean> {
    const pieces = this.#pieces.splice(0);
    this.#bytes = 0;
    if (pieces.length > 0) {
      const [first = new Uint8Array()] = pieces;
      const bytes = pieces.length === 1 ? first : Buffer.concat(pieces);
      this.#sent = this.#sent
        .then(() => (this.#isRefused ? undefined : this.#send(bytes)))
        .catch(() => {
          this.#isRefused = true;
        });
    }
    await this.#sent;
    return !this.#isRefused;
  }
}
