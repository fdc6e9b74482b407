import { checkOptionKeys } from "../util/options.ts";
import { watchAbort } from "../util/watch-abort.ts";
import type { Handle } from "./handle.ts";
import { parseSignal } from "./run-options.ts";
import type { StatusChange } from "./status.ts";

export interface StatusChangesOptions {
  /** Aborting it ends the iteration, without an error. */
  signal?: AbortSignal;
}

/** How the machine stands, and each change from now on, none left out; ends when the machine is deleted. Keeps the event loop alive while it is waited for. */
export async function* statusChanges(
  handle: Handle,
  options: StatusChangesOptions = {},
): AsyncGenerator<StatusChange, void, void> {
  checkOptionKeys(options, ["signal"], "statusChanges()");
  const signal = parseSignal(options.signal);
  const seen: StatusChange[] = [handle.status.shown];
  let wake = () => {};
  const stops = [
    handle.status.onChange((change) => {
      seen.push(change);
      wake();
    }),
    signal ? watchAbort(signal, () => wake()) : () => {},
  ];
  try {
    while (!signal?.aborted) {
      const change = seen.shift();
      if (change) yield change;
      else if (handle.status.phase === "deleted") return;
      else await untilCalled((resume) => (wake = resume));
    }
  } finally {
    for (const stop of stops) stop();
  }
}

async function untilCalled(register: (resume: () => void) => void): Promise<void> {
  const keepAlive = setInterval(() => {}, 2 ** 30);
  await new Promise<void>(register).finally(() => clearInterval(keepAlive));
}
