import { checkOptionKeys, parseSignal } from "../../util/options.ts";
import { watchAbort } from "../../util/watch-abort.ts";
import type { Handle } from "../machine/handle.ts";
import type { StatusChange } from "../machine/status.ts";

export interface StatusChangesOptions {
  /** Aborting it ends the iteration, without an error. */
  signal?: AbortSignal;
}

const LOOK_EVERY_MS = 500;

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
      else await untilCalled(handle, (resume) => (wake = resume));
    }
  } finally {
    for (const stop of stops) stop();
  }
}

const asked = new WeakSet<Handle>();

/** Finds out in the background how a machine stands; one question at a time. */
export function askAfter(handle: Handle): void {
  if (asked.has(handle)) return;
  asked.add(handle);
  const answered = () => asked.delete(handle);
  handle.settled().then(answered, answered);
}

/** Where nobody holds the machine there is nobody to tell of a change: then it is looked for. */
async function untilCalled(handle: Handle, register: (resume: () => void) => void): Promise<void> {
  const keepAlive = setInterval(() => askAfter(handle), LOOK_EVERY_MS);
  await new Promise<void>(register).finally(() => clearInterval(keepAlive));
}
