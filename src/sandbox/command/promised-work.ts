/** With more than this under way in what listeners have promised, what comes waits for them, and so does the guest's writer. */
const FULL_BYTES = 256 * 1024;
/** What a call takes besides its piece, which may be of one byte. */
const CALL_BYTES = 1024;

interface Ends {
  /** Hears what the promise rejects with, before `settled` is called. */
  readonly fail: (error: unknown) => void;
  readonly settled: () => void;
}

/** What listeners have promised and not settled yet, counted by the bytes that they were told. */
export class PromisedWork {
  #bytes = 0;

  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES;
  }

  get hasRoom(): boolean {
    return this.#bytes <= FULL_BYTES / 2;
  }

  get isNone(): boolean {
    return this.#bytes === 0;
  }

  /** Counts what a listener has returned for a piece until it is settled, where it is a promise. */
  add(returned: unknown, pieceBytes: number, ends: Ends): void {
    if (isThenable(returned)) void this.#watch(returned, pieceBytes + CALL_BYTES, ends);
  }

  async #watch(work: PromiseLike<unknown>, weight: number, { fail, settled }: Ends): Promise<void> {
    this.#bytes += weight;
    try {
      await work;
    } catch (error) {
      fail(error);
    }
    this.#bytes -= weight;
    settled();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof Object(value).then === "function";
}
