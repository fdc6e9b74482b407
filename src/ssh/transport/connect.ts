import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "./backoff.ts";
import { ConnectError, openConnection, type SshConnection } from "./ssh-connection.ts";
import type { SshTarget } from "./ssh-target.ts";

const LONGEST_PAUSE_MS = 3_000;

/**
 * Connects, again and again until the server answers. A connect that is accepted proves nothing: QEMU's network accepts
 * before the guest does. ConnectError when the server refuses us for good, or with the last failure once `signal` is aborted.
 */
export async function connectWithRetries(
  getTarget: () => Promise<SshTarget>,
  signal: AbortSignal,
  onFailure: (error: ConnectError) => void = () => {},
): Promise<SshConnection> {
  const backoff = new Backoff(LONGEST_PAUSE_MS);
  for (;;) {
    const target = await getTarget();
    try {
      return await openConnection(target, signal);
    } catch (error) {
      if (!(error instanceof ConnectError) || error.isFinal || signal.aborted) throw error;
      onFailure(error);
      await sleep(backoff.pauseMs(), undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}
