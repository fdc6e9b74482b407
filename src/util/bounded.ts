import { OperationAbortedError, OperationTimeoutError } from "../errors.ts";
import { watchAbort } from "./watch-abort.ts";

export interface Bounds {
  /** What the error calls it, for example "Starting QEMU". */
  readonly operation: string;
  readonly timeoutMs: number;
  /** What the error names instead: a caller's own time, to which a grace was added. */
  readonly namedMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for `work`, but not past its deadline or an abort: OperationTimeoutError, OperationAbortedError.
 * The work itself goes on; ending it is the caller's. The event loop stays alive for the wait, so what
 * is waited for may be unref'd.
 */
export async function bounded<T>(work: Promise<T>, bounds: Bounds): Promise<T> {
  const { operation, timeoutMs, namedMs = timeoutMs, signal } = bounds;
  let stopWaiting = () => {};
  const limit = new Promise<never>((_, reject) => {
    const fail = () => reject(new OperationTimeoutError(operation, namedMs / 1000));
    // A program that was busy itself, or stopped, finds its clock run out before it has read what came meanwhile.
    const timer = setTimeout(() => setImmediate(() => setImmediate(fail)), timeoutMs);
    const onAbort = () => reject(new OperationAbortedError(operation, undefined, { cause: signal?.reason }));
    if (signal?.aborted) onAbort();
    const stopWatching = signal && watchAbort(signal, onAbort);
    stopWaiting = () => {
      clearTimeout(timer);
      stopWatching?.();
    };
  });
  try {
    return await Promise.race([limit, work]);
  } finally {
    stopWaiting();
  }
}

/** OperationAbortedError where the signal was aborted. */
export function throwIfAborted(operation: string, signal: AbortSignal | null | undefined): void {
  if (signal?.aborted) throw new OperationAbortedError(operation, undefined, { cause: signal.reason });
}
