import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SmolVMError, VMAlreadyExistsError } from "../errors.ts";
import { acquireLock, isLocked, tryLock } from "../host/lock.ts";
import { isAlive } from "../host/process-identity.ts";
import { isDraftAbandoned, isDraftFolder, makeDraftFolder } from "./draft-folder.ts";
import { endProcessesOf } from "./machine-processes.ts";
import {
  decodeMachineRecord,
  encodeMachineRecord,
  type MachineRecord,
  NewerFormatError,
} from "./machine-record.ts";
import {
  DISCARDED_PREFIX,
  type MachinePaths,
  machinePaths,
  recordFile,
  type StatePaths,
  takeoverOf,
} from "./paths.ts";

/** A machine as its folder tells. */
export interface StoredMachine {
  readonly name: string;
  readonly paths: MachinePaths;
  readonly record: MachineRecord | BadRecord;
}

/** A record that can't be used, and why: to go after "it". */
export interface BadRecord {
  readonly problem: string;
  /** It was written by a later version, which knows what to do with it. */
  readonly isNewer: boolean;
}

/**
 * Makes the folder that holds a machine's name. It appears whole, record included, or not at all; where the name is taken by
 * anything but an ephemeral machine whose creator has died: VMAlreadyExistsError, and that one is untouched.
 */
export async function claimMachineFolder(state: StatePaths, record: MachineRecord): Promise<MachinePaths> {
  const { name } = record.spec;
  const paths = machinePaths(state, name);
  let draft: string | undefined;
  try {
    await mkdir(state.machines, { recursive: true, mode: 0o700 });
    draft = await makeDraftFolder(state.machines);
    await writeFile(recordFile(draft), encodeMachineRecord(record), { mode: 0o600 });
    await publish(state, draft, paths, name);
  } catch (error) {
    if (draft !== undefined) await rm(draft, { recursive: true, force: true });
    throw error instanceof SmolVMError ? error : stateFolderError(paths.folder, error);
  }
  return paths;
}

/** Another record in its place, at once and whole. Only who holds the machine may write it. */
export async function writeMachineRecord(paths: MachinePaths, record: MachineRecord): Promise<void> {
  const draft = `${paths.record}.${process.pid}`;
  try {
    await writeFile(draft, encodeMachineRecord(record), { mode: 0o600 });
    await rename(draft, paths.record);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Undefined where there is no such machine. */
export async function findMachine(state: StatePaths, name: string): Promise<StoredMachine | undefined> {
  const paths = machinePaths(state, name);
  try {
    const record = decodeMachineRecord(await readFile(paths.record, "utf8"));
    if (record.spec.name !== name) throw new Error(`its record is that of machine "${record.spec.name}"`);
    return { name, paths, record };
  } catch (error) {
    if (!(await exists(paths.folder))) return undefined;
    const problem = isMissing(error) ? "its record is missing" : (error as Error).message;
    return { name, paths, record: { problem, isNewer: error instanceof NewerFormatError } };
  }
}

/** Every machine, damaged ones too, by name. */
export async function listMachines(state: StatePaths): Promise<StoredMachine[]> {
  const names = await readdir(state.machines).catch(() => []);
  const found = await Promise.all(
    names.filter((name) => !name.startsWith(".")).map((name) => findMachine(state, name)),
  );
  return found.filter((each) => each !== undefined);
}

/** Removes a machine's folder and so frees its name, at once and whole; a folder that is gone already is fine. */
export async function removeMachineFolder(state: StatePaths, paths: MachinePaths): Promise<void> {
  // Nothing is made for it beforehand, which a full disk would refuse. And once it is out of the way, the name may be another one's.
  const doomed = join(state.machines, `${DISCARDED_PREFIX}${randomUUID()}`);
  try {
    await rename(paths.folder, doomed);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  await rm(doomed, { recursive: true, force: true, maxRetries: 3 });
}

export function isBad(record: MachineRecord | BadRecord): record is BadRecord {
  return "problem" in record;
}

/**
 * True for an ephemeral machine whose creator is gone, and for a persistent one that whoever made it did not live to see up: nobody
 * has been told of it. What can't be understood is left alone.
 */
export async function isAbandoned(record: MachineRecord | BadRecord): Promise<boolean> {
  if (isBad(record) || (record.spec.persistent && record.wasBooted)) return false;
  return record.owner === null || !(await isAlive(record.owner));
}

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
    if (!(await isAbandoned(found.record)) || !(await isFree(found.paths))) return false;
    await endProcessesOf(state, found);
    await removeMachineFolder(state, found.paths);
    return true;
  });
}

/** Takes the machine away from every supervisor; false where one has it. The lock goes with the folder. */
export async function isFree({ lock }: MachinePaths): Promise<boolean> {
  const taken = await tryLock(lock).catch(async (error) => {
    if (isMissing(error)) return true; // so has the folder
    await unlessFull(error);
    return !(await isLocked(lock));
  });
  return Boolean(taken);
}

/** Where a disk is full, no lock can be written: it is more likely to stay so than that two remove one machine at the same moment. */
async function unlessFull(error: NodeJS.ErrnoException): Promise<() => Promise<void>> {
  if (error.code !== "ENOSPC" && error.code !== "EDQUOT") throw error;
  return async () => {};
}

/** Longer than a file is there of somebody who is trying to take a lock. */
const LOCK_GRACE_MS = 20_000;

/** Folders of machines that were not finished, or not removed to the end, and that nobody is at any more. */
export async function listLeftFolders(state: StatePaths): Promise<string[]> {
  const names = await readdir(state.machines).catch(() => []);
  const left = await Promise.all(
    names.map(async (name) => {
      const folder = join(state.machines, name);
      if (name.startsWith(DISCARDED_PREFIX)) return [folder];
      return isDraftFolder(name) && (await isDraftAbandoned(folder)) ? [folder] : [];
    }),
  );
  return left.flat();
}

/** Locks of machines, once each, whose holders died while they removed them. */
export async function listLeftLocks(state: StatePaths): Promise<string[]> {
  const names = await readdir(state.machines).catch(() => []);
  const left = await Promise.all(
    names.map(async (name) => {
      const lock = takeoverOf(state, name);
      const isLeft = lock && (await isOlderThanMs(join(state.machines, name), LOCK_GRACE_MS));
      return isLeft && !(await isLocked(lock)) ? [lock] : [];
    }),
  );
  return [...new Set(left.flat())];
}

async function isOlderThanMs(path: string, ageMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > ageMs;
}

async function publish(state: StatePaths, draft: string, paths: MachinePaths, name: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await rename(draft, paths.folder);
    } catch (error) {
      if (!isTaken(error)) throw error;
      if (attempt > 0 || !(await removeAbandoned(state, name))) throw alreadyExists(name, paths.folder);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

function isTaken(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOTEMPTY" || code === "EEXIST";
}

function alreadyExists(name: string, folder: string): VMAlreadyExistsError {
  return new VMAlreadyExistsError(`A machine named "${name}" exists already.`, {
    remediation: "Choose another name, leave the name out to have one made, or delete that machine first.",
    details: { name, folder },
  });
}

function stateFolderError(folder: string, cause: unknown): SmolVMError {
  return new SmolVMError(
    "STATE",
    `The machine's folder ${folder} can't be made: ${(cause as Error).message}`,
    {
      remediation:
        "Check that the state folder (SMOLVM_HOME, else ~/.smolvm) is writable and its disk has space.",
      cause,
    },
  );
}
