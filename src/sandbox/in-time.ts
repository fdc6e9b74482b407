import { BootError, OperationTimeoutError } from "../errors.ts";
import type { Bounds } from "../util/bounded.ts";
import { causesOf } from "./blame.ts";
import type { BootContext } from "./setup.ts";

/** What has a time of its own within the whole gets to say itself what was late. */
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
  const deadlineMs = sinceMs + timeoutMs;
  const leftMs = () => Math.max(1, deadlineMs - performance.now());
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), leftMs() + GRACE_MS);
  try {
    return await work({ signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal, leftMs });
  } catch (error) {
    const isLate =
      late.signal.aborted ||
      (performance.now() >= deadlineMs &&
        causesOf(error).some((each) => each instanceof OperationTimeoutError));
    if (!isLate || signal?.aborted) throw error;
    throw asLate(new OperationTimeoutError(operation, timeoutMs / 1000, undefined, { cause: error }), error);
  } finally {
    clearTimeout(timer);
  }
}

/** The same for a start: a BootError that names the time, where a QEMU of it has been seen. */
export async function startInTime<T>(
  machine: string,
  context: BootContext,
  work: (context: BootContext, leftMs: () => number) => Promise<T>,
): Promise<T> {
  const { timeoutMs, signal } = context;
  const asLate = (late: OperationTimeoutError, error: unknown) => {
    if (!(error instanceof BootError)) return late;
    const message = `Machine "${machine}" did not come up within ${timeoutMs / 1000} s.`;
    return new BootError(message, error, { cause: late, details: { timeoutMs } });
  };
  const start = (time: SharedTime) => work({ ...context, signal: time.signal }, time.leftMs);
  return inTime({ operation: `Starting machine "${machine}"`, timeoutMs, signal }, start, asLate);
}
