import { setTimeout as sleep } from "node:timers/promises";
import { OperationTimeoutError, SmolVMError, VMStateError } from "../../errors.ts";
import { connectTo } from "../../host/local-socket.ts";
import { findHolder } from "../../host/lock.ts";
import { isLink } from "../../host/no-file.ts";
import { endProcess } from "../../host/owned-processes.ts";
import { findProcess } from "../../host/process-identity.ts";
import { readTail } from "../../state/bounded-log.ts";
import { findMachine, isBad } from "../../state/machine-folder.ts";
import { type MachineRecord, type MachineSpec, parseMachineRecord } from "../../state/machine-record.ts";
import type { MachinePaths, StatePaths } from "../../state/paths.ts";
import { bounded } from "../../util/bounded.ts";
import { hostTrouble, throwHostTrouble } from "../machine/host-trouble.ts";
import { HolderConnection, type News, silentError } from "./connection.ts";
import { decodeError } from "./errors.ts";
import { otherVersionError } from "./other-version.ts";
import { PROTOCOL } from "./protocol.ts";
import { spawnSupervisor } from "./spawn-supervisor.ts";

/** How long a holder may take to say how the machine stands. It does nothing else first. */
const GREETING_MS = 10_000;
/** Of several who start a supervisor at once, the others find the one that was first within this. */
const OBTAIN_MS = 20_000;
const RETRY_MS = 50;

/**
 * A connection to the process that holds the machine with that id (null: the one that has the name), after its first record has been heard; null where nobody does, or
 * another machine has the name by now. HostError; SmolVMError "UNRESPONSIVE" where somebody does who says nothing.
 */
export async function connectHolder(
  paths: MachinePaths,
  id: string | null,
  onNews: (news: News) => void,
): Promise<HolderConnection | null> {
  const socket = await connectTo(paths.control).catch((error: NodeJS.ErrnoException) => {
    // A link is not what a holder listens at.
    const isNobodys = error.code === "ELOOP" && isLink(paths.control);
    if (isNobodys || error.code === "ENOENT" || error.code === "ECONNREFUSED") return null;
    throw hostTrouble(error);
  });
  return socket && greeted((hear) => new HolderConnection(socket, hear), { paths, id }, onNews);
}

/** The machine as its holder knows it; null where nobody holds it, or says nothing. */
export async function askRecord(paths: MachinePaths): Promise<MachineRecord | null> {
  let record: MachineRecord | null = null;
  const holder = await connectHolder(paths, null, (news) => {
    if (news.kind === "record") record = parseMachineRecord(news.record);
  }).catch(() => null);
  holder?.close();
  return record;
}

/** A connection as above; where nobody holds the machine a supervisor is started. SmolVMError where it can't hold it. */
export async function obtainHolder(
  state: StatePaths,
  { name, id }: MachineSpec,
  paths: MachinePaths,
  onNews: (news: News) => void,
): Promise<HolderConnection> {
  for (const endMs = performance.now() + OBTAIN_MS; performance.now() < endMs; await sleep(RETRY_MS)) {
    const found = await connectHolder(paths, id, onNews);
    if (found) return found;
    await requireThis(state, { name, id });
    const { channel, pid } = await spawnSupervisor(state, name, paths).catch(throwHostTrouble);
    const greeting = greeted((hear) => new HolderConnection(channel, hear), { paths, id }, onNews);
    const started = await greeting.catch(async (error) => {
      await endUnlessHolder(pid, paths);
      throw error;
    });
    if (started) return started;
  }
  throw new SmolVMError("SUPERVISOR", `The process that is to hold machine "${name}" does not start.`, {
    remediation: `See what it said: ${paths.logs.supervisor.now}`,
    details: { output: await readTail(paths.logs.supervisor.now) },
  });
}

/** One that has said nothing and holds nothing is of no use to anybody, and nobody else knows of it. */
async function endUnlessHolder(pid: number, { lock }: MachinePaths): Promise<void> {
  const [holder, process] = [await findHolder(lock), await findProcess(pid)];
  if (process && holder?.pid !== pid) await endProcess(process);
}

/** A supervisor takes what it finds by the name. VMStateError where that is another machine by now, or none. */
async function requireThis(state: StatePaths, { name, id }: Pick<MachineSpec, "name" | "id">): Promise<void> {
  const found = await findMachine(state, name);
  if (found && !isBad(found.record) && found.record.spec.id === id) return;
  const why = found && isBad(found.record) ? found.record.problem : "it was deleted";
  throw new VMStateError(`Can't start machine "${name}": ${why}.`, {
    remediation: "Look at what there is: smolvm ls -a",
  });
}

/** Null where the other end hangs up, holds another machine, or says that another one holds this. */
async function greeted(
  open: (onNews: (news: News) => void) => HolderConnection,
  { paths, id }: { readonly paths: MachinePaths; readonly id: string | null },
  onNews: (news: News) => void,
): Promise<HolderConnection | null> {
  let greet = (_isHolder: boolean | Promise<never>) => {};
  const greeting = new Promise<boolean>((resolve) => {
    greet = resolve;
  });
  /** The first word counts: that the other end hangs up while its error is being put together makes no difference. */
  const fail = (error: Error | Promise<Error>) => {
    const failure = Promise.resolve(error).then((it) => Promise.reject(it));
    failure.catch(() => {}); // one that comes later is told to nobody
    greet(failure);
  };
  const connection = open((news) => {
    if (news.kind === "elsewhere") return greet(false);
    if (news.kind === "refused") return fail(decodeError(news.error));
    if (news.kind !== "record") return onNews(news);
    if (news.protocol !== PROTOCOL)
      return fail(otherVersionError(`it speaks protocol ${news.protocol}, this one ${PROTOCOL}`, paths));
    if (id !== null && idIn(news.record) !== id) {
      greet(false);
      throw new Error("it holds another machine");
    }
    try {
      onNews(news);
    } catch (error) {
      fail(otherVersionError((error as Error).message, paths));
      throw error;
    }
    greet(true);
  });
  void connection.closed.then(() => greet(false));
  const bounds = { operation: "Asking the process that holds the machine", timeoutMs: GREETING_MS };
  try {
    if (await bounded(greeting, bounds)) return connection;
  } catch (cause) {
    connection.close();
    if (!(cause instanceof OperationTimeoutError)) throw cause;
    throw silentError(cause);
  }
  connection.close();
  return null;
}

function idIn(record: unknown): unknown {
  return Object(Object(record).spec).id;
}
