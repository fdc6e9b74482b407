const FIRST_MS = 20;

/** How long to wait before something is tried again: twice as long each time, and never just as long as others wait. */
export class Backoff {
  readonly #mostMs: number;
  #nextMs = FIRST_MS;

  constructor(mostMs: number) {
    this.#mostMs = mostMs;
  }

  pauseMs(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(2 * ms, this.#mostMs);
    return ms * (0.75 + Math.random() / 4);
  }

  /** The same after one that was of use or not: the next one need not wait, or as above. */
  pauseAfter(wasOfUse: boolean): number {
    if (!wasOfUse) return this.pauseMs();
    this.#nextMs = FIRST_MS;
    return 0;
  }
}
