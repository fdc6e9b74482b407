import { setTimeout as sleep } from "node:timers/promises";
import { ChannelRefusedError, ConnectionLostError } from "./channel.ts";
import { ConnectError } from "./connection.ts";
import type { EarlyShell } from "./early-shell.ts";
import type { Links } from "./links.ts";
import type { Place } from "./place.ts";
import type { GuestProcess } from "./process.ts";
import type { Queue } from "./queue.ts";
import type { CommandSpec } from "./spec.ts";
import { StoppedError, type Stopper } from "./stop.ts";

const MOST_TRIES = 20;
const PAUSE_MS = 25;

/** A place for this command, over whatever connection has room. Nothing of the command is sent to it yet. */
export async function startProcess(
  spec: CommandSpec,
  { links, queue, early }: { links: Links; queue: Queue; early: EarlyShell | null },
  stopper: Stopper,
): Promise<{ place: Place; process: GuestProcess }> {
  const process = early?.start(spec);
  if (early && process) return { place: early, process };
  for (let tries = 1; ; tries++) {
    const link = await links.get(stopper.signal);
    const starting = link.start(spec, queue.waiting === 0, stopper.signal);
    try {
      return { place: link, process: await stopper.race(starting) };
    } catch (error) {
      if (error instanceof StoppedError) discardLater(starting, link);
      if (!isWorthAnotherTry(error)) throw error;
      if (tries >= MOST_TRIES) {
        throw new ConnectError(`the SSH server starts no command: ${(error as Error).message}`, true, error);
      }
      await stopper.race(sleep(PAUSE_MS));
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
