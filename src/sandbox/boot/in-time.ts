import { BootError, OperationTimeoutError } from "../../errors.ts";
import type { Bounds } from "../../util/bounded.ts";
import { causesOf } from "./blame.ts";
import type { BootContext } from "./boot-context.ts";

/** A step with a time of its own may report first. */
const GRACE_MS = 100;

export interface TimedBounds extends Bounds {
  /** From when on the time counts, by `performance.now()`. Default: now. */
  readonly sinceMs?: number;
}

/** The one time that all steps of a piece of work have together. */
export interface SharedTime {
  /** Aborted when it is over, and by the caller's signal. */
  readonly signal: AbortSignal;
  readonly leftMs: () => number;
  /** For what may take as long as it needs: meanwhile the time stands still. */
  readonly untimed: <R>(work: () => Promise<R>) => Promise<R>;
}

/**
 * Does `work` in the time that the caller gave: then its signal is aborted. What fails for want of time is an OperationTimeoutError that
 * names all of that time, and whose cause is what was late; or what `asLate` makes of it.
 */
export async function inTime<T>(
  { operation, timeoutMs, signal, sinceMs = performance.now() }: TimedBounds,
  work: (time: SharedTime) => Promise<T>,
  asLate: (late: OperationTimeoutError, error: unknown) => Error = (late) => late,
): Promise<T> {
  const late = new AbortController();
  const clock = new Countdown(sinceMs + timeoutMs - performance.now(), () => late.abort());
  try {
    return await work({
      signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
      leftMs: () => Math.max(1, clock.leftMs),
      untimed: (work) => clock.standStill(work),
    });
  } catch (error) {
    const isLate = late.signal.aborted || (clock.leftMs <= 0 && causesOf(error).some(saysItWasLate));
    if (!isLate || signal?.aborted) throw error;
    throw asLate(new OperationTimeoutError(operation, timeoutMs / 1000, undefined, { cause: error }), error);
  } finally {
    clock.end();
  }
}

/** `inTime` for a start: a BootError that names the time, where a QEMU of it has been seen. */
export async function startInTime<T>(
  machine: string,
  context: BootContext,
  work: (context: BootContext, time: SharedTime) => Promise<T>,
): Promise<T> {
  const { timeoutMs, sinceMs, signal } = context;
  const asLate = (late: OperationTimeoutError, error: unknown) => {
    if (!(error instanceof BootError)) return late;
    const message = `Machine "${machine}" did not come up within ${timeoutMs / 1000} s.`;
    return new BootError(message, error, { cause: late, details: { timeoutMs } });
  };
  const start = (time: SharedTime) => work({ ...context, signal: time.signal }, time);
  return inTime({ operation: `Starting machine "${machine}"`, timeoutMs, sinceMs, signal }, start, asLate);
}

/** Of an error that came from another process no cause is known. */
function saysItWasLate(error: unknown): boolean {
  return (
    error instanceof OperationTimeoutError || (error instanceof BootError && "timeoutMs" in error.details)
  );
}

/** Calls `onLate` a moment after its time is over. */
class Countdown {
  readonly #onLate: () => void;
  #timer: NodeJS.Timeout | undefined;
  #deadlineMs: number;
  /** What was left when it was made to stand still. */
  #heldMs = 0;
  #holds = 0;
  #isOver = false;

  constructor(forMs: number, onLate: () => void) {
    this.#onLate = onLate;
    this.#deadlineMs = performance.now() + forMs;
    this.#setTimer();
  }

  get leftMs(): number {
    return this.#holds > 0 ? this.#heldMs : this.#deadlineMs - performance.now();
  }

  async standStill<R>(work: () => Promise<R>): Promise<R> {
    this.#heldMs = this.leftMs;
    this.#holds++;
    clearTimeout(this.#timer);
    try {
      return await work();
    } finally {
      this.#holds--;
      this.#deadlineMs = performance.now() + this.#heldMs;
      if (this.#holds === 0 && !this.#isOver) this.#setTimer();
    }
  }

  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #setTimer(): void {
    this.#timer = setTimeout(this.#onLate, Math.max(1, this.leftMs) + GRACE_MS);
  }
}
