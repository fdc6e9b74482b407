import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "../../util/queue.ts";
import type { EarlyShell } from "../parked/parked-shell.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import { Backoff } from "../transport/backoff.ts";
import { ChannelRefusedError, ConnectionLostError } from "../transport/channel.ts";
import { SILENCE_MS } from "../transport/keep-alive.ts";
import { ConnectError } from "../transport/ssh-connection.ts";
import type { Place } from "../worker/command-place.ts";
import type { GuestProcess } from "../worker/guest-process.ts";
import type { Links } from "../worker/links.ts";
import { StoppedError, type Stopper } from "./stopper.ts";

const MOST_TRIES = 20;
/** Each of them waits twice as long for the next connection. */
const MOST_LOST = 8;
const LONGEST_PAUSE_MS = 1_000;
/** After so many the guest is asked to mend what may keep its server from starting anything, and again after as many. */
const TRIES_BEFORE_MEND = 5;

/**
 * A place for this command, over the first connection that has room. Nothing of the command is sent to it yet. `mayUseStandby` is false
 * where a shell that was started ahead of time has ended just now.
 */
export async function startProcess(
  spec: CommandSpec,
  { links, queue, early }: { links: Links; queue: Queue; early: EarlyShell | null },
  stopper: Stopper,
  mayUseStandby: boolean,
): Promise<{ place: Place; process: GuestProcess }> {
  const process = mayUseStandby ? early?.start(spec) : null;
  if (early && process) return { place: early, process };
  let lost = 0;
  const backoff = new Backoff(LONGEST_PAUSE_MS);
  for (let tries = 1; ; tries++) {
    const link = await links.get(stopper.signal, SILENCE_MS);
    const starting = link.start(spec, { mayBeSurplus: queue.waiting === 0, mayUseStandby }, stopper.signal);
    try {
      return { place: link, process: await stopper.race(starting) };
    } catch (error) {
      if (error instanceof StoppedError) discardLater(starting, link);
      if (!isWorthAnotherTry(error)) throw error;
      if (error instanceof ConnectionLostError) lost++;
      if (tries >= MOST_TRIES || lost >= MOST_LOST) {
        throw new ConnectError(`the SSH server starts no command: ${(error as Error).message}`, true, error);
      }
      if (tries % TRIES_BEFORE_MEND === 0) links.mend();
      await stopper.race(sleep(backoff.pauseMs()));
    }
  }
}

function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof ChannelRefusedError || error instanceof ConnectionLostError;
}

/** Its caller has left while it started. In a terminal it runs already, for its code came with the request. */
function discardLater(starting: Promise<GuestProcess>, place: Place): void {
  starting.then(
    (process) => {
      process.discard();
      void place.kill(process);
    },
    () => {},
  );
}
