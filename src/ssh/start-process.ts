import { setTimeout as sleep } from "node:timers/promises";
import { ChannelRefusedError, ConnectionLostError } from "./channel.ts";
import { ConnectError } from "./connection.ts";
import type { Link } from "./link.ts";
import type { Links } from "./links.ts";
import type { GuestProcess } from "./process.ts";
import type { Queue } from "./queue.ts";
import type { CommandSpec } from "./spec.ts";
import { StoppedError, type Stopper } from "./stop.ts";

const MOST_TRIES = 20;
const PAUSE_MS = 25;

/** A place for this command, over whatever connection has room. Nothing of the command is sent to it yet. */
export async function startProcess(
  spec: CommandSpec,
  { links, queue }: { links: Links; queue: Queue },
  stopper: Stopper,
): Promise<{ link: Link; process: GuestProcess }> {
  for (let tries = 1; ; tries++) {
    const link = await links.get(stopper.signal);
    const starting = link.start(spec, queue.waiting === 0, stopper.signal);
    try {
      return { link, process: await stopper.race(starting) };
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
function discardLater(starting: Promise<GuestProcess>, link: Link): void {
  starting.then(
    (process) => {
      process.discard();
      void link.kill(process);
    },
    () => {},
  );
}
