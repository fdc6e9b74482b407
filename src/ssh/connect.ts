import { setTimeout as sleep } from "node:timers/promises";
import { ConnectError, openConnection, type SshConnection } from "./connection.ts";
import type { SshTarget } from "./target.ts";

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

/**
 * Connects, again and again until the server answers. A connect that is accepted proves nothing: QEMU's network accepts
 * before the guest does. ConnectError when the server refuses us for good, or with the last failure once `signal` is aborted.
 */
export async function connectWithRetries(
  getTarget: () => Promise<SshTarget>,
  signal: AbortSignal,
): Promise<SshConnection> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const target = await getTarget();
    try {
      return await openConnection(target, signal);
    } catch (error) {
      if (!(error instanceof ConnectError) || error.isFinal || signal.aborted) throw error;
      await sleep(pauseMs, undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}
