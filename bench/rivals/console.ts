import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";

const KEPT_CHARACTERS = 4096;

/** What a guest is waited for by. */
export interface Sign {
  /** Looked for in the last of what was printed, carriage returns left out. */
  readonly pattern: RegExp;
  readonly timeoutMs: number;
}

/** Resolves as soon as a process prints the sign on any of its streams; rejects with its last words if it ends or takes too long. */
export function untilPrinted(child: ChildProcess, { pattern, timeoutMs }: Sign): Promise<void> {
  return new Promise((resolve, reject) => {
    let tail = "";
    const fail = (what: string) =>
      reject(new Error(`${child.spawnfile} ${what}; its last words: ${tail.trim().slice(-300) || "none"}`));
    const deadline = setTimeout(() => fail(`said nothing of ${pattern} in time`), timeoutMs);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (status, signal) => fail(`ended with ${signal ?? `status ${status}`}`));
    for (const stream of child.stdio.slice(1) as (Readable | null | undefined)[]) {
      // Read to the end, or the guest would stall one day on a full pipe.
      stream?.setEncoding("utf8").on("data", (text: string) => {
        tail = (tail + text.replaceAll("\r", "")).slice(-KEPT_CHARACTERS);
        if (!pattern.test(tail)) return;
        clearTimeout(deadline);
        resolve();
      });
      // A socket to a process that was killed.
      stream?.on("error", () => undefined);
    }
    child.once("exit", () => clearTimeout(deadline));
  });
}
