import { OperationAbortedError, OperationTimeoutError } from "../errors.ts";

export interface Bounds {
  /** What the error calls it, for example "Starting QEMU". */
  readonly operation: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for `work`, but not past its deadline or an abort: OperationTimeoutError, OperationAbortedError.
 * The work itself goes on; ending it is the caller's. The event loop stays alive for the wait, so what
 * is waited for may be unref'd.
 */
export async function bounded<T>(work: Promise<T>, bounds: Bounds): Promise<T> {
  const { operation, timeoutMs, signal } = bounds;
  let stopWaiting = () => {};
  const limit = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new OperationTimeoutError(operation, timeoutMs / 1000)), timeoutMs);
    const onAbort = () => reject(new OperationAbortedError(operation, undefined, { cause: signal?.reason }));
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    stopWaiting = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  });
  try {
    return await Promise.race([limit, work]);
  } finally {
    stopWaiting();
  }
}
