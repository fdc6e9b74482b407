/**
 * The numbers of the commands' cgroups. One is used again only when nothing is under way any more that is meant for its
 * last user: a late signal would hit the next one.
 */
export class Slots {
  readonly #free: number[] = [];
  #last = 0;
  /** How much is under way for a number, and whether it is to be free after that. */
  readonly #held = new Map<number, { count: number; isReleased: boolean }>();

  take(): number {
    return this.#free.shift() ?? ++this.#last;
  }

  /** Its user is gone. */
  release(slot: number): void {
    const held = this.#held.get(slot);
    if (held) held.isReleased = true;
    else this.#free.push(slot);
  }

  /** Keeps a number that is in use from being used again before `work` is over, whatever comes of it. */
  async holdFor<T>(slot: number, work: Promise<T>): Promise<T> {
    const held = this.#held.get(slot) ?? { count: 0, isReleased: false };
    this.#held.set(slot, held);
    held.count++;
    try {
      return await work;
    } finally {
      held.count--;
      if (held.count === 0) this.#settle(slot, held.isReleased);
    }
  }

  #settle(slot: number, isReleased: boolean): void {
    this.#held.delete(slot);
    if (isReleased) this.#free.push(slot);
  }
}
