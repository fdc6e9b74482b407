import { watchAbort } from "./watch-abort.ts";

/** Lets a limited number in at a time, first come, first served. */
export class Queue {
  #capacity: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get inside(): number {
    return this.#inside;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  set capacity(capacity: number) {
    this.#capacity = capacity;
    this.#letIn();
  }

  /** Resolves with the call that gives the place back. Rejects with the reason of a signal that is aborted first. */
  enter(signal?: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const letIn = () => {
        stopWatching();
        this.#inside++;
        resolve(this.#leaveOnce());
      };
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(letIn), 1);
        reject(signal?.reason);
      };
      const stopWatching = signal ? watchAbort(signal, giveUp) : () => {};
      this.#waiting.push(letIn);
      this.#letIn();
    });
  }

  #letIn(): void {
    while (this.#inside < this.#capacity) {
      const next = this.#waiting.shift();
      if (!next) return;
      next();
    }
  }

  #leaveOnce(): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inside--;
      this.#letIn();
    };
  }
}
