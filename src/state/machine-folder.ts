import { setTimeout as sleep } from "node:timers/promises";
import { SmolVMError, VMAlreadyExistsError } from "../errors.ts";
import { judgeHolder } from "../host/holder.ts";
import { probeSocket } from "../host/local-socket.ts";
import { acquireLock, judgeLock, tryLock } from "../host/lock.ts";
import { makeFolders } from "../host/make-folders.ts";
import { type Judged, namesIn } from "../host/names-in.ts";
import { isLink, NoFileError } from "../host/no-file.ts";
import { ALIVE, DEAD, type Verdict } from "../host/process-identity.ts";
import { isFull, isShortage, remedyForHost } from "../host/remedies.ts";
import { codeOf, isMissing, isNamed, writeWhole } from "../host/whole-file.ts";
import { discardFolder, isNameTaken, renameFolder } from "../host/whole-folder.ts";
import { discardDraftFolder, listLeftIn, makeDraftFolder } from "./draft-folder.ts";
import { requireOurs } from "./foreign.ts";
import { endProcessesOf } from "./machine-processes.ts";
import type { BadRecord, StoredMachine } from "./machine-record.ts";
import {
  decodeMachineRecord,
  encodeMachineRecord,
  type MachineRecord,
  NewerFormatError,
} from "./machine-record.ts";
import { type MachinePaths, machinePaths, recordFile, type StatePaths } from "./paths.ts";
import { readRecord } from "./read-record.ts";

/**
 * Makes the folder that holds a machine's name. It appears whole, record included, or not at all; where the name is taken by
 * anything but an ephemeral machine whose creator has died: VMAlreadyExistsError, and that one is untouched.
 */
export async function claimMachineFolder(state: StatePaths, record: MachineRecord): Promise<MachinePaths> {
  const { name } = record.spec;
  const paths = machinePaths(state, name);
  let draft: string | undefined;
  try {
    await makeFolders(state.machines);
    draft = await makeDraftFolder(state.machines);
    await writeWhole(recordFile(draft), encodeMachineRecord(record), { durable: isKept(record) });
    await publish(state, draft, paths, record);
  } catch (error) {
    if (draft !== undefined) await discardDraftFolder(draft);
    throw error instanceof SmolVMError ? error : stateFolderError(paths.folder, error);
  }
  return paths;
}

/** An ephemeral machine does not outlive a crash of the host, so neither needs its record; and its start is not to wait for the disk. */
function isKept({ spec }: MachineRecord): boolean {
  return spec.persistent;
}

/** Another record in its place, at once and whole. Only who holds the machine may write it. */
export async function writeMachineRecord(paths: MachinePaths, record: MachineRecord): Promise<void> {
  await writeWhole(paths.record, encodeMachineRecord(record), { durable: isKept(record) });
}

/** Undefined where there is no such machine. */
export async function findMachine(state: StatePaths, name: string): Promise<StoredMachine | undefined> {
  const paths = machinePaths(state, name);
  try {
    const record = decodeMachineRecord(await readRecord(paths.record));
    if (record.spec.name !== name) throw new Error(`its record is that of machine "${record.spec.name}"`);
    return { name, paths, record };
  } catch (error) {
    if (isShortage(codeOf(error))) throw error; // it tells nothing of the record
    if (!(await isNamed(paths.folder))) return undefined;
    const problem = isMissing(error) ? "its record is missing" : (error as Error).message;
    return { name, paths, record: { problem, isNewer: error instanceof NewerFormatError } };
  }
}

/** Every machine, damaged ones too, by name. */
export async function listMachines(state: StatePaths): Promise<StoredMachine[]> {
  const names = await namesIn(state.machines);
  const found = await Promise.all(
    names.filter((name) => !name.startsWith(".")).map((name) => findMachine(state, name)),
  );
  return found.filter((each) => each !== undefined);
}

/** Removes a machine's folder and so frees its name, at once and whole; a folder that is gone already is fine. */
export async function removeMachineFolder(paths: MachinePaths): Promise<void> {
  await discardFolder(paths.folder);
}

/** SmolVMError "STATE" where it is no machine's folder. */
export async function requireOurMachine({ folder, record, logs, ...files }: MachinePaths): Promise<void> {
  const all = [...Object.values(files), ...Object.values(logs).flatMap(({ now, older }) => [now, older])];
  await requireOurs(folder, record, all);
}

export function isBad(record: MachineRecord | BadRecord): record is BadRecord {
  return "problem" in record;
}

/** Whether a process lives that answers for the machine: its maker, or the supervisor of a persistent one. */
export async function judgeOwner({ owner }: MachineRecord, { control }: MachinePaths): Promise<Verdict> {
  return owner === null ? DEAD : judgeHolder(owner, control);
}

/**
 * Whether somebody needs the machine. "dead" is an ephemeral one whose creator is proved to be gone, and a persistent one whose maker
 * did not live to see it up: nobody has been told of it. What can't be understood is left alone.
 */
export async function judgeNeed({ record, paths }: StoredMachine): Promise<Verdict> {
  if (isBad(record) || (record.spec.persistent && record.wasBooted)) return ALIVE;
  return judgeOwner(record, paths);
}

/** Whether it is proved not to be needed. */
export async function isAbandoned(machine: StoredMachine): Promise<boolean> {
  return (await judgeNeed(machine)).life === "dead";
}

/** A supervisor whose maker was killed as it began has let its machine go within this, on a host that is not too busy. */
const LETTING_GO_MS = 3_000;
const LOOK_AGAIN_MS = 25;
/** What a dead holder left is removed within this, its QEMU too. */
const TAKEOVER_MS = 20_000;

/** Does what removes machines that nobody holds, one after the other for each name, so that a slow one never takes away what has the name next. */
export async function withTakeover<T>(state: StatePaths, name: string, work: () => Promise<T>): Promise<T> {
  const release = await acquireLock(machinePaths(state, name).takeover, {
    operation: `Waiting for another process to remove what is left of machine "${name}"`,
    signal: AbortSignal.timeout(TAKEOVER_MS),
  }).catch(unlessFull);
  try {
    return await work();
  } finally {
    await release();
  }
}

/** Removes an abandoned machine, and what runs of it. False where there is one by that name that is not abandoned. */
export async function removeAbandoned(state: StatePaths, name: string): Promise<boolean> {
  return withTakeover(state, name, async () => {
    const found = await findMachine(state, name);
    if (!found) return true;
    return (await isAbandoned(found)) && (await removeIfFree(state, found));
  });
}

/**
 * Takes the machine away from every supervisor, and removes it with what runs of it; false where one has it. SmolVMError "LOCK_UNCLEAR". The lock
 * goes with the folder; where that stays, somebody else can have it.
 */
export async function removeIfFree(state: StatePaths, machine: StoredMachine): Promise<boolean> {
  const release = await takeAway(machine);
  if (!release) return false;
  try {
    await endProcessesOf(state, machine);
    await removeMachineFolder(machine.paths);
    return true;
  } finally {
    await release();
  }
}

async function takeAway(machine: StoredMachine): Promise<(() => Promise<void>) | undefined> {
  const { folder, lock } = machine.paths;
  return tryLock(lock).catch(async (error) => {
    // The folder is gone, or there never was one; or nobody can take what is there.
    const isFree = isMissing(error) || isLoop(folder, error) || (await isUntakenInstead(machine, error));
    if (isFree) return async () => {};
    const none = await unlessFull(error);
    return (await judgeLock(lock)).life === "dead" ? none : undefined;
  });
}

function isLoop(folder: string, error: unknown): boolean {
  return codeOf(error) === "ELOOP" && isLink(folder);
}

/**
 * Where no file is in the place of the lock, nobody can take the machine any more. Who had it before listens at its socket, which a
 * record that can be read confirms: without one only that there is no socket proves it.
 */
async function isUntakenInstead({ paths, record }: StoredMachine, error: SmolVMError): Promise<boolean> {
  if (!(error.cause instanceof NoFileError)) return false;
  if (isBad(record)) return !(await isNamed(paths.control));
  if ((await probeSocket(paths.control, undefined)) === "listened") return false;
  return (await judgeOwner(record, paths)).life === "dead";
}

/** Where a disk is full, no lock can be written: it is more likely to stay so than that two remove one machine at the same moment. */
async function unlessFull(error: NodeJS.ErrnoException): Promise<() => Promise<void>> {
  if (!isFull(error.code)) throw error;
  return async () => {};
}

/** Folders of machines that were not finished, or not removed to the end, unless somebody lives who is at it. */
export async function listLeftFolders(state: StatePaths): Promise<readonly Judged[]> {
  return listLeftIn(state.machines);
}

async function publish(
  state: StatePaths,
  draft: string,
  paths: MachinePaths,
  record: MachineRecord,
): Promise<void> {
  const { name } = record.spec;
  const endMs = performance.now() + LETTING_GO_MS;
  for (let wasRemoved = false; ; ) {
    try {
      return await renameFolder(draft, paths.folder, { durable: isKept(record) });
    } catch (error) {
      if (!isNameTaken(error)) throw error;
    }
    if (wasRemoved) throw alreadyExists(name, paths.folder);
    wasRemoved = await removeAbandoned(state, name).catch(unlessUnclear);
    if (wasRemoved) continue;
    if (performance.now() > endMs || !(await isBeingLetGo(state, name)))
      throw alreadyExists(name, paths.folder);
    await sleep(LOOK_AGAIN_MS);
  }
}

/** Whether a supervisor is about to start it for the first time. Where its maker has been killed it finds that out, and lets the machine go; it may just have. */
async function isBeingLetGo(state: StatePaths, name: string): Promise<boolean> {
  const found = await findMachine(state, name);
  if (!found || isBad(found.record)) return false;
  const { spec, wasBooted, status } = found.record;
  if (!spec.persistent || wasBooted || !["created", "starting"].includes(status.phase)) return false;
  return (await isAbandoned(found)) || (await judgeLock(found.paths.lock)).life === "alive";
}

/** A machine that somebody may hold has its name. */
function unlessUnclear(error: unknown): false {
  if (error instanceof SmolVMError && error.code === "LOCK_UNCLEAR") return false;
  throw error;
}

function alreadyExists(name: string, folder: string): VMAlreadyExistsError {
  return new VMAlreadyExistsError(`A machine named "${name}" exists already.`, {
    remediation: `Choose another name, leave the name out to have one made, or delete that machine first: smolvm rm -f ${name}`,
    details: { name, folder },
  });
}

function stateFolderError(folder: string, cause: unknown): SmolVMError {
  return new SmolVMError(
    "STATE",
    `The machine's folder ${folder} can't be made: ${(cause as Error).message}`,
    {
      remediation: remedyForHost(codeOf(cause), (cause as NodeJS.ErrnoException).path),
      cause,
    },
  );
}
