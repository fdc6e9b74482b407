import type { OnProgress } from "../../image/progress.ts";
import { settle } from "../../util/settle.ts";
import { tameLine } from "../../util/tame.ts";
import type { Logger } from "./options.ts";

/**
 * A logger whose own failures, promises that reject included, touch nothing of what is logged. A message is one line: it may have words of a guest,
 * and go to a terminal.
 */
export function guardLogger(logger: Logger = {}): Logger {
  const guarded = (level: keyof Logger) => (message: string) =>
    void settle(() => logger[level]?.(tameLine(message))).catch(() => {});
  return { debug: guarded("debug"), warn: guarded("warn") };
}

/** Calls the caller's `onProgress`. What that throws, or rejects with, ends the work that it is told of, and is what this rejects with. */
export class ProgressGuard {
  readonly report: OnProgress | undefined;
  readonly #controller = new AbortController();
  #failure: { readonly error: unknown } | null = null;

  constructor(onProgress: OnProgress | undefined) {
    this.report = onProgress && ((progress) => void this.#tell(onProgress, progress));
  }

  /** Aborted as soon as the callback has failed. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the work is to reject with where `error` may only be what the callback's failure led to. */
  explain(error: unknown): unknown {
    return this.#failure ? this.#failure.error : error;
  }

  async #tell(...[onProgress, progress]: [OnProgress, Parameters<OnProgress>[0]]): Promise<void> {
    await settle(() => onProgress(progress)).catch((error: unknown) => {
      this.#failure ??= { error };
      this.#controller.abort(error);
    });
  }
}
