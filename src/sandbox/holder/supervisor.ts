import { Socket } from "node:net";
import { tryLock } from "../../host/lock.ts";
import { findSelf } from "../../host/process-identity.ts";
import { findMachine, isBad } from "../../state/machine-folder.ts";
import { endProcessesOf } from "../../state/machine-processes.ts";
import type { MachineRecord } from "../../state/machine-record.ts";
import { type MachinePaths, machinePaths, type StatePaths, statePaths } from "../../state/paths.ts";
import { stopMachine } from "../lifecycle/stop.ts";
import { hostTrouble } from "../machine/host-trouble.ts";
import type { Machine } from "../machine/machine.ts";
import { badRecordError } from "../remote/bad-record.ts";
import { encodeError } from "../remote/errors.ts";
import { send } from "../remote/protocol.ts";
import { recordedMachine } from "./new-machine.ts";
import { MachineServer } from "./server.ts";

/** Less than a host that shuts down leaves its processes before it kills them. */
const SHUTDOWN_SECONDS = 8;
const ENDS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Holds one persistent machine. Started by the process that starts the machine, with a socket to that one as fd 3, it goes on when that one has
 * ended, and ends when the machine doesn't run and nobody is connected. QEMU dies with it.
 */
export async function supervise(name: string): Promise<void> {
  const first = new Socket({ fd: 3, readable: true, writable: true });
  first.on("error", () => {});
  const state = statePaths();
  const paths = machinePaths(state, name);
  const held = await takeHold(state, paths, name).catch((error) => ({ why: hostTrouble(error) }));
  if ("why" in held) {
    const { why } = held;
    send(first, why === null ? { kind: "elsewhere" } : { kind: "refused", error: encodeError(why) });
    return void first.end();
  }
  const { record, release } = held;
  await endProcessesOf(state, { name, paths, record }); // a QEMU that has lost its guardian would write on the same disk
  const logger = { warn: (message: string) => console.error(`${new Date().toISOString()} ${message}`) };
  const machine = recordedMachine(state, paths, record, logger);
  machine.owner = await findSelf();
  machine.records.note(machine); // from now on it goes no more with the process that made it
  await machine.records.settled();
  await serveUntilUnused(machine, first);
  machine.owner = null;
  machine.records.note(machine);
  await machine.records.settled();
  await release();
}

interface Held {
  readonly record: MachineRecord;
  readonly release: () => Promise<void>;
}

/** From now on nobody else holds the machine. Else why not; null: another one does, or it has just been deleted. */
async function takeHold(
  state: StatePaths,
  paths: MachinePaths,
  name: string,
): Promise<Held | { readonly why: unknown }> {
  const release = await tryLock(paths.lock).catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  const found = release && (await findMachine(state, name));
  if (!found) {
    await release?.();
    return { why: null };
  }
  const { record } = found;
  if (!isBad(record)) return { record, release };
  await release();
  return { why: badRecordError(name, paths, record) };
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
  try {
    await server.listen();
    await server.admit(first);
    await unused;
  } catch (error) {
    send(first, { kind: "refused", error: encodeError(hostTrouble(error)) });
    first.end();
  } finally {
    server.close();
    clearInterval(keepAlive);
  }
}

function isAtRest({ status, starting, booted }: Machine): boolean {
  return (
    starting === null && booted === null && ["created", "stopped", "error", "deleted"].includes(status.phase)
  );
}

/** The host shuts down, or somebody wants this process gone: the disk is left whole. */
async function shutDown(machine: Machine): Promise<void> {
  machine.abortStart?.(new Error("its supervisor was told to end"));
  await stopMachine(machine, { timeout: SHUTDOWN_SECONDS }, "its supervisor was told to end").catch((error) =>
    machine.surroundings.logger.warn?.(String(error)),
  );
  await machine.records.settled(); // who is connected is to hear of it
}
