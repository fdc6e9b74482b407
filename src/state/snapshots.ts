import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SmolVMError, SnapshotAlreadyExistsError, SnapshotNotFoundError } from "../errors.ts";
import { listLayers } from "./disk-layers.ts";
import { isDraftAbandoned, isDraftFolder, makeDraftFolder } from "./draft-folder.ts";
import {
  requireContent,
  requireSameLayer,
  requireUntouched,
  stampContent,
  stampFile,
  stampLayer,
} from "./file-stamp.ts";
import { type SavedMachinePaths, type StatePaths, savedMachinePaths, snapshotFolder } from "./paths.ts";
import {
  decodeSnapshotRecord,
  encodeSnapshotRecord,
  type SavedFacts,
  SavedFactsSchema,
  type SnapshotRecord,
  SnapshotRecordSchema,
} from "./snapshot-record.ts";

/** A machine that was saved while it ran. */
export interface SavedMachine {
  readonly paths: SavedMachinePaths;
  readonly facts: SavedFacts;
  /** Null: nobody else can have touched it since. */
  readonly record: SnapshotRecord | null;
}

const SavedMachineSchema = v.object({
  paths: v.object({ folder: v.string() }),
  facts: SavedFactsSchema,
  record: v.nullable(SnapshotRecordSchema),
});

/** A saved machine of which another process has told. */
export function decodeSavedMachine(value: unknown): SavedMachine {
  const { paths, facts, record } = v.parse(SavedMachineSchema, value);
  return { paths: savedMachinePaths(paths.folder, "snapshot"), facts, record };
}

/** An empty folder for a snapshot in the making; what makers left that died is removed first. */
export async function openSnapshotDraft(state: StatePaths): Promise<SavedMachinePaths> {
  await mkdir(state.snapshots, { recursive: true, mode: 0o700 });
  await collectDrafts(state);
  return savedMachinePaths(await makeDraftFolder(state.snapshots), "snapshot");
}

/** Gives a finished draft its name, at once and whole. SnapshotAlreadyExistsError: of many who want a name, one gets it. */
export async function publishSnapshot(
  state: StatePaths,
  { paths: draft, facts }: SavedMachine,
  name: string,
): Promise<SavedMachine> {
  const layers = await listLayers(draft.folder);
  for (const path of [draft.memory, draft.state, ...layers]) await syncFile(path);
  const record: SnapshotRecord = {
    formatVersion: 1,
    name,
    facts,
    memory: await stampFile(draft.memory),
    state: stampContent(await readFile(draft.state)),
    layers: await Promise.all(layers.map(stampLayer)),
    sizeBytes: await bytesOf([draft.memory, draft.state, ...layers]),
  };
  await writeFile(draft.record, encodeSnapshotRecord(record), { mode: 0o600 });
  await syncFile(draft.record);
  const folder = snapshotFolder(state, name);
  try {
    await rename(draft.folder, folder);
  } catch (error) {
    if (isTaken(error)) throw snapshotExists(name);
    throw error;
  }
  return { paths: savedMachinePaths(folder, "snapshot"), facts, record };
}

/** SnapshotAlreadyExistsError where the name is taken: to be known before the work is done. */
export async function requireFreeName(state: StatePaths, name: string): Promise<void> {
  if (await exists(snapshotFolder(state, name))) throw snapshotExists(name);
}

/** SnapshotNotFoundError; SmolVMError "SNAPSHOT_DAMAGED" where its record or its memory is not what was saved. */
export async function getSnapshot(state: StatePaths, name: string): Promise<SavedMachine> {
  const paths = savedMachinePaths(snapshotFolder(state, name), "snapshot");
  const text = await readFile(paths.record, "utf8").catch(async () => {
    if (await exists(paths.folder)) throw damaged(name, new Error("its record is missing"));
    throw notFound(name);
  });
  try {
    const record = decodeSnapshotRecord(text);
    if (record.name !== name) throw new Error("its record is another one's");
    await requireUntouched(paths.memory, record.memory);
    const layers = await listLayers(paths.folder);
    if (layers.length !== record.layers.length)
      throw new Error(`its disk has ${layers.length} layers instead of ${record.layers.length}`);
    for (const [index, stamp] of record.layers.entries()) await requireSameLayer(layers[index] ?? "", stamp);
    return { paths, facts: record.facts, record };
  } catch (error) {
    throw damaged(name, error);
  }
}

/** For QEMU to read from. Closing it is the caller's. */
export async function openSavedState({ record, paths }: SavedMachine): Promise<FileHandle> {
  return open(paths.state, "r").catch((error) =>
    explain(record, paths, new Error(`its state can't be read: ${error.message}`)),
  );
}

/** The same for its memory, once it is in use: what was put in its place meanwhile would be found out by nobody else. */
export async function requireSavedMemory({ record, paths }: SavedMachine): Promise<void> {
  if (record === null) return;
  await requireUntouched(paths.memory, record.memory).catch((error) => explain(record, paths, error));
}

/** SmolVMError "SNAPSHOT_DAMAGED" where the state is not what was saved. */
export function requireSavedState({ record }: SavedMachine, content: Uint8Array): void {
  if (record === null) return;
  try {
    requireContent("state", content, record.state);
  } catch (error) {
    throw damaged(record.name, error);
  }
}

/** Every snapshot whose record can be read, the newest first. */
export async function listStoredSnapshots(state: StatePaths): Promise<SnapshotRecord[]> {
  const names = await readdir(state.snapshots).catch(() => []);
  const records = await Promise.all(
    names
      .filter((name) => !name.startsWith("."))
      .map(async (name) => {
        const { record } = savedMachinePaths(snapshotFolder(state, name), "snapshot");
        try {
          return decodeSnapshotRecord(await readFile(record, "utf8"));
        } catch {
          return undefined;
        }
      }),
  );
  return records
    .filter((record) => record !== undefined)
    .sort((a, b) => b.facts.createdAt.localeCompare(a.facts.createdAt));
}

/** Nobody finds it from now on. Machines that were restored from it have all they need. SnapshotNotFoundError. */
export async function removeSnapshot(state: StatePaths, name: string): Promise<void> {
  const doomed = await mkdir(state.snapshots, { recursive: true, mode: 0o700 }).then(() =>
    makeDraftFolder(state.snapshots),
  );
  try {
    await rename(snapshotFolder(state, name), doomed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw notFound(name);
  } finally {
    await rm(doomed, { recursive: true, force: true });
  }
}

/** Removes what makers left that died. */
export async function collectDrafts(state: StatePaths): Promise<void> {
  for (const folder of await listLeftDrafts(state)) {
    // Another one may be at it too: what is left then is for the next.
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }
}

/** The folders of what makers left that died. */
export async function listLeftDrafts(state: StatePaths): Promise<string[]> {
  const names = await readdir(state.snapshots).catch(() => []);
  const drafts = names.filter(isDraftFolder).map((name) => join(state.snapshots, name));
  const left = await Promise.all(drafts.map(isDraftAbandoned));
  return drafts.filter((_, index) => left[index]);
}

/** Files go with their snapshot when it is deleted: that is no damage. */
async function explain(
  record: SnapshotRecord | null,
  { folder }: SavedMachinePaths,
  error: unknown,
): Promise<never> {
  if (record === null) throw error;
  throw (await exists(folder)) ? damaged(record.name, error) : notFound(record.name);
}

function notFound(name: string): SnapshotNotFoundError {
  return new SnapshotNotFoundError(`There is no snapshot "${name}".`, {
    remediation: "List those that there are: smolvm snapshot ls",
    details: { name },
  });
}

function damaged(name: string, cause: unknown): SmolVMError {
  return new SmolVMError(
    "SNAPSHOT_DAMAGED",
    `The snapshot "${name}" is damaged: ${(cause as Error).message}.`,
    {
      remediation: `Remove it: smolvm snapshot rm ${name}`,
      cause,
      details: { name },
    },
  );
}

function snapshotExists(name: string): SnapshotAlreadyExistsError {
  return new SnapshotAlreadyExistsError(`A snapshot named "${name}" exists already.`, {
    remediation: `Choose another name, leave it out to have one made, or remove that one: smolvm snapshot rm ${name}`,
    details: { name },
  });
}

function isTaken(error: unknown): boolean {
  return ["ENOTEMPTY", "EEXIST"].includes(String((error as NodeJS.ErrnoException).code));
}

async function bytesOf(paths: readonly string[]): Promise<number> {
  const found = await Promise.all(paths.map((path) => stat(path)));
  return found.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
