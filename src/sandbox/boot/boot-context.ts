import type { OnProgress } from "../../image/progress.ts";

/** What all the steps of a start are told by its caller. */
export interface BootContext {
  readonly signal: AbortSignal;
  /** For everything but an image that has to be built. */
  readonly timeoutMs: number;
  /** From when on that counts, by `performance.now()`. */
  readonly sinceMs: number;
  readonly onProgress?: OnProgress | undefined;
}
