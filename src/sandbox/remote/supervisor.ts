import { Socket } from "node:net";
import { tryLock } from "../../host/lock.ts";
import { findMachine, isBad } from "../../state/machine-folder.ts";
import { endProcessesOf } from "../../state/machine-processes.ts";
import { machinePaths, statePaths } from "../../state/paths.ts";
import type { Machine } from "../machine.ts";
import { recordedMachine } from "../new-machine.ts";
import { findSelf } from "../setup.ts";
import { stopMachine } from "../stop.ts";
import { send } from "./protocol.ts";
import { MachineServer } from "./server.ts";

/** Less than a host that shuts down leaves its processes before it kills them. */
const SHUTDOWN_SECONDS = 8;
const ENDS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Holds one persistent machine. Started by whoever starts the machine, with a socket to him as fd 3, it goes on when he has
 * ended, and ends when the machine doesn't run and nobody is connected. QEMU dies with it.
 */
export async function supervise(name: string): Promise<void> {
  const first = new Socket({ fd: 3, readable: true, writable: true });
  first.on("error", () => {});
  const state = statePaths();
  const paths = machinePaths(state, name);
  const release = await tryLock(paths.lock).catch(() => undefined);
  const found = release && (await findMachine(state, name));
  if (!release || !found || isBad(found.record)) {
    send(first, { kind: "elsewhere" });
    first.end();
    return await release?.();
  }
  await endProcessesOf(state, found); // a QEMU that has lost its guardian would write on the same disk
  const logger = { warn: (message: string) => console.error(`${new Date().toISOString()} ${message}`) };
  const machine = recordedMachine(state, paths, found.record, logger);
  machine.owner = await findSelf();
  await serveUntilUnused(machine, first);
  machine.owner = null;
  machine.records.note(machine);
  await machine.records.settled();
  await release();
}

async function serveUntilUnused(machine: Machine, first: Socket): Promise<void> {
  const keepAlive = setInterval(() => {}, 2 ** 30);
  let finish = () => {};
  const unused = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const look = () => {
    if (server.clientCount === 0 && isAtRest(machine)) finish();
  };
  const server = new MachineServer(machine, look);
  machine.status.onChange(() => setImmediate(look));
  for (const name of ENDS) process.on(name, () => void shutDown(machine).then(() => server.close()));
  await server.listen();
  await server.admit(first);
  await unused;
  server.close();
  clearInterval(keepAlive);
}

function isAtRest({ status, starting }: Machine): boolean {
  return starting === null && ["created", "stopped", "error", "deleted"].includes(status.phase);
}

/** The host shuts down, or somebody wants this process gone: the disk is left whole. */
async function shutDown(machine: Machine): Promise<void> {
  machine.abortStart?.(new Error("its supervisor was told to end"));
  await stopMachine(machine, { timeout: SHUTDOWN_SECONDS }, "its supervisor was told to end").catch((error) =>
    machine.surroundings.logger.warn?.(String(error)),
  );
  await machine.records.settled(); // who is connected is to hear of it
}
