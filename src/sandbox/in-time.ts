import { BootError, OperationTimeoutError } from "../errors.ts";
import { causesOf } from "./blame.ts";
import type { BootContext } from "./setup.ts";

/** What has a time of its own within the whole gets to say itself what was late. */
const GRACE_MS = 100;

/**
 * Does `work` in the time that the caller gave: then its signal is aborted. What fails for want of time names that time: BootError, or
 * OperationTimeoutError where no QEMU of it has been seen.
 */
export async function inTime<T>(
  machine: string,
  context: BootContext,
  work: (context: BootContext, leftMs: () => number) => Promise<T>,
): Promise<T> {
  const { timeoutMs, signal } = context;
  const deadlineMs = performance.now() + timeoutMs;
  const leftMs = () => Math.max(1, deadlineMs - performance.now());
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs + GRACE_MS);
  try {
    return await work({ ...context, signal: AbortSignal.any([signal, late.signal]) }, leftMs);
  } catch (error) {
    const isLate =
      late.signal.aborted ||
      (performance.now() >= deadlineMs &&
        causesOf(error).some((each) => each instanceof OperationTimeoutError));
    throw isLate && !signal.aborted ? lateError(machine, timeoutMs, error) : error;
  } finally {
    clearTimeout(timer);
  }
}

function lateError(machine: string, timeoutMs: number, error: unknown): BootError | OperationTimeoutError {
  const cause = new OperationTimeoutError(
    `Starting machine "${machine}"`,
    timeoutMs / 1000,
    { stdout: "", stderr: "" },
    { cause: error },
  );
  if (!(error instanceof BootError)) return cause;
  const message = `Machine "${machine}" did not come up within ${timeoutMs / 1000} s.`;
  return new BootError(message, error, { cause, details: { timeoutMs } });
}
