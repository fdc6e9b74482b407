import { watchAbort } from "../util/watch-abort.ts";

/** How the things of a stock are made, looked over and thrown away. */
export interface StockOptions<T> {
  /** How many wait ready when nobody takes any. */
  readonly size: number;
  /** How many are made at the same time. */
  readonly mostAtOnce: number;
  /** Whether there is room for one more that nobody waits for yet. */
  readonly hasRoom: () => boolean;
  readonly make: (signal: AbortSignal) => Promise<T>;
  readonly isSound: (thing: T) => Promise<boolean>;
  /** Never rejects. */
  readonly discard: (thing: T) => Promise<void>;
  /** Hears why one could not be made that nobody waited for. */
  readonly onFailure: (error: unknown) => void;
}

interface Customer<T> {
  readonly take: (thing: T) => void;
  readonly refuse: (error: unknown) => void;
}

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

/** Things that are ready when they are wanted, made again in the background as they are taken. */
export class Stock<T> {
  readonly #options: StockOptions<T>;
  readonly #closing = new AbortController();
  readonly #making = new Set<Promise<void>>();
  readonly #discarding = new Set<Promise<void>>();
  #ready: T[] = [];
  #customers: Customer<T>[] = [];
  #pauseMs = FIRST_PAUSE_MS;
  #pause: NodeJS.Timeout | null = null;

  constructor(options: StockOptions<T>) {
    this.#options = options;
    this.#refill();
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  /** One that is sound and that nobody else gets; where none is ready, the next that is made. Rejects with the signal's reason, or what making it threw. */
  async take(signal: AbortSignal): Promise<T> {
    for (let thing = this.#ready.shift(); thing !== undefined; thing = this.#ready.shift()) {
      this.#refill();
      if (await this.#options.isSound(thing)) return thing;
      this.#discard(thing);
    }
    signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    let leave = () => {};
    const served = new Promise<T>((resolve, reject) => {
      const customer = { take: resolve, refuse: reject };
      leave = () => this.#leave(customer, signal.reason);
      this.#customers.push(customer);
    });
    const stopWatching = watchAbort(signal, leave);
    this.#refill();
    return await served.finally(stopWatching);
  }

  /** Discards what is ready and what is still made, and turns away who waits. Twice is fine. */
  async close(reason: Error): Promise<void> {
    this.#closing.abort(reason);
    if (this.#pause) clearTimeout(this.#pause);
    for (const { refuse } of this.#customers.splice(0)) refuse(reason);
    for (const thing of this.#ready.splice(0)) this.#discard(thing);
    await Promise.all(this.#making);
    await Promise.all(this.#discarding);
  }

  #leave(customer: Customer<T>, reason: unknown): void {
    this.#customers = this.#customers.filter((other) => other !== customer);
    customer.refuse(reason);
  }

  #refill(): void {
    const { size, mostAtOnce, hasRoom } = this.#options;
    if (this.#closing.signal.aborted) return;
    const missing = () => size + this.#customers.length - this.#ready.length - this.#making.size;
    const isWanted = () => this.#customers.length > this.#making.size || (this.#pause === null && hasRoom());
    while (missing() > 0 && this.#making.size < mostAtOnce && isWanted()) {
      const making: Promise<void> = this.#makeOne().then(() => {
        this.#making.delete(making);
        this.#refill();
      });
      this.#making.add(making);
    }
    // Room comes without a word.
    if (missing() > 0 && this.#making.size === 0 && this.#pause === null) this.#pauseRefilling();
  }

  async #makeOne(): Promise<void> {
    try {
      const thing = await this.#options.make(this.#closing.signal);
      this.#pauseMs = FIRST_PAUSE_MS;
      if (this.#closing.signal.aborted) return this.#discard(thing);
      const customer = this.#customers.shift();
      if (customer) customer.take(thing);
      else if (this.#ready.length < this.#options.size) this.#ready.push(thing);
      else this.#discard(thing); // who waited for it has left
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      const customer = this.#customers.shift();
      if (customer) return customer.refuse(error);
      this.#options.onFailure(error);
      this.#pauseRefilling();
    }
  }

  #pauseRefilling(): void {
    if (this.#pause) clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = null;
      this.#refill();
    }, this.#pauseMs);
    this.#pause.unref();
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
  }

  #discard(thing: T): void {
    const discarding: Promise<void> = this.#options.discard(thing).finally(() => {
      this.#discarding.delete(discarding);
    });
    this.#discarding.add(discarding);
  }
}
