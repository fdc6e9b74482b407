import type { Readable } from "node:stream";

/**
 * Gives back how to tell of work, which says whether more may come; after work of which there was too much it may not before `resume`.
 * There is one timer at most, however much comes in small pieces all the same.
 */
export function paceFlow(perSecond: number, resume: () => void): (cost: number) => boolean {
  const pace = new Pace(perSecond);
  let isWaiting = false;
  const goOn = () => {
    isWaiting = false;
    resume();
  };
  return (cost) => {
    const ms = pace.spend(cost);
    if (ms > 0 && !isWaiting) {
      isWaiting = true;
      setTimeout(goOn, ms).unref();
    }
    return ms === 0;
  };
}

/**
 * Has `stream` stand still after work of which there was too much; the other side then has to wait. Gives back how to tell of work.
 * A guest that prints without end would else take a core of the host.
 */
export function paceStream(stream: Readable, perSecond: number): (cost: number) => void {
  const mayFlow = paceFlow(perSecond, () => stream.resume());
  return (cost) => {
    if (!mayFlow(cost)) stream.pause();
  };
}

/** A measure of work: so much of it each second, and what was not used of a second comes on top, once. */
class Pace {
  readonly #perSecond: number;
  #left: number;
  #atMs = performance.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
  }

  /** How many ms to wait for it; 0: none. */
  spend(cost: number): number {
    const nowMs = performance.now();
    const gained = ((nowMs - this.#atMs) * this.#perSecond) / 1000;
    this.#atMs = nowMs;
    this.#left = Math.min(this.#perSecond, this.#left + gained) - cost;
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecond) * 1000;
  }
}
