import { setTimeout as sleep } from "node:timers/promises";
import { ChannelRefusedError, ConnectionLostError } from "./channel.ts";
import { ConnectError } from "./connection.ts";
import type { GuestShell } from "./guest-shell.ts";
import type { Link } from "./link.ts";
import type { Links } from "./links.ts";
import type { CommandSpec } from "./spec.ts";
import { StoppedError, type Stopper } from "./stop.ts";

const MOST_TRIES = 20;
const PAUSE_MS = 25;

/** A shell for this command, over whatever connection has room. Nothing of the command is sent to it yet. */
export async function startShell(
  spec: CommandSpec,
  links: Links,
  stopper: Stopper,
): Promise<{ link: Link; shell: GuestShell }> {
  for (let tries = 1; ; tries++) {
    const link = await links.get(stopper.signal);
    const starting = link.startShell(spec);
    try {
      return { link, shell: await stopper.race(starting) };
    } catch (error) {
      if (error instanceof StoppedError) discardLater(starting, link);
      if (!isWorthAnotherTry(error)) throw error;
      if (tries >= MOST_TRIES)
        throw new ConnectError(`the SSH server starts no command: ${(error as Error).message}`, true, error);
      await stopper.race(sleep(PAUSE_MS));
    }
  }
}

function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof ChannelRefusedError || error instanceof ConnectionLostError;
}

/** Its caller has left while it started: it reads the end of its input and goes. */
function discardLater(starting: Promise<GuestShell>, link: Link): void {
  starting.then(
    (shell) => {
      shell.setSink(() => true);
      shell.channel.end();
      void link.kill(shell).then(() => link.release(shell));
    },
    () => {},
  );
}
