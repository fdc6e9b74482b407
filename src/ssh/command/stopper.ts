import { watchAbort } from "../../util/watch-abort.ts";

/** Why a command is ended before it has ended by itself. */
export type StopReason =
  | { readonly kind: "timeout" }
  | { readonly kind: "aborted"; readonly cause: unknown }
  /** The host's side of it failed: a callback threw, its input broke. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** The machine, or this end of the connection, is gone. */
  | { readonly kind: "died"; readonly why: string }
  /** Somebody asked for it; what it has printed and the signal are its ordinary result. */
  | { readonly kind: "killed" };

/** Thrown where a wait ended because the command is to be stopped. */
export class StoppedError extends Error {}

/** The one place that knows whether, and why, a command is to be stopped. The first reason counts. */
export class Stopper {
  readonly #controller = new AbortController();
  readonly #dueMs: number;
  #reason: StopReason | null = null;
  #timer: NodeJS.Timeout | null = null;
  #unwatch: () => void = () => {};

  constructor(timeoutMs: number | null, signal: AbortSignal | null) {
    this.#dueMs = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
    if (timeoutMs !== null) this.#timer = setTimeout(() => this.stop({ kind: "timeout" }), timeoutMs);
    if (signal) this.#watch(signal);
  }

  get reason(): StopReason | null {
    return this.#reason;
  }

  /** Its time is over, and this process was too busy, or stood still, to notice. */
  get isOverdue(): boolean {
    return this.#reason === null && performance.now() >= this.#dueMs;
  }

  /** Aborted as soon as there is a reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(reason: StopReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.dispose();
    this.#controller.abort(new StoppedError(reason.kind));
  }

  /** `work`, or StoppedError as soon as there is a reason to stop. The work itself goes on. */
  race<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const onStop = () => reject(signal.reason);
      if (signal.aborted) onStop();
      signal.addEventListener("abort", onStop, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onStop));
    });
  }

  /** Lets go of the clock and of the caller's signal; no reason comes any more but by `stop`. */
  dispose(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#unwatch();
  }

  #watch(signal: AbortSignal): void {
    const onAbort = () => this.stop({ kind: "aborted", cause: signal.reason });
    if (signal.aborted) onAbort();
    else this.#unwatch = watchAbort(signal, onAbort);
  }
}
