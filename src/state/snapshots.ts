import { type FileHandle, rm, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import * as v from "valibot";
import { HostError, SmolVMError, SnapshotAlreadyExistsError, SnapshotNotFoundError } from "../errors.ts";
import { makeFolders } from "../host/make-folders.ts";
import { type Judged, namesIn } from "../host/names-in.ts";
import { openFile, readWhole } from "../host/read-file.ts";
import { remedyForHost } from "../host/remedies.ts";
import {
  codeOf,
  isMissing,
  isNamed,
  isThere,
  syncFile,
  unlessMissing,
  writeWhole,
} from "../host/whole-file.ts";
import { discardFolder, isNameTaken, renameFolder } from "../host/whole-folder.ts";
import { nearestOf } from "../util/options.ts";
import { DamageError } from "./damage.ts";
import { listLayers } from "./disk-layers.ts";
import { listLeftIn, makeDraftFolder } from "./draft-folder.ts";
import {
  MOST_STATE_BYTES,
  requireContent,
  requireSameLayer,
  requireUnchanged,
  stampContent,
  stampFile,
  stampLayer,
} from "./file-stamp.ts";
import { requireOurs } from "./foreign.ts";
import { type SavedMachinePaths, type StatePaths, savedMachinePaths, snapshotFolder } from "./paths.ts";
import { asDamage, readRecord } from "./read-record.ts";
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
  await makeFolders(state.snapshots);
  await collectDrafts(state);
  return savedMachinePaths(await makeDraftFolder(state.snapshots), "snapshot");
}

/**
 * Gives a finished draft its name, at once and whole. SnapshotAlreadyExistsError: of many who want a name, one gets it. The signal's
 * reason, where it is aborted first: then the draft has no name.
 */
export async function publishSnapshot(
  state: StatePaths,
  { paths: draft, facts }: SavedMachine,
  name: string,
  signal?: AbortSignal,
): Promise<SavedMachine> {
  const layers = await listLayers(draft.folder);
  for (const path of [draft.memory, draft.state, ...layers]) {
    signal?.throwIfAborted();
    await syncFile(path);
  }
  const record: SnapshotRecord = {
    formatVersion: 1,
    name,
    facts,
    memory: await stampFile(draft.memory, signal),
    state: stampContent(await readWhole(draft.state, MOST_STATE_BYTES)),
    layers: await Promise.all(layers.map((path) => stampLayer(path, signal))),
    sizeBytes: await bytesOf([draft.memory, draft.state, ...layers]),
  };
  await writeWhole(draft.record, encodeSnapshotRecord(record), { durable: true });
  const folder = snapshotFolder(state, name);
  signal?.throwIfAborted();
  try {
    await renameFolder(draft.folder, folder, { durable: true });
  } catch (error) {
    if (isNameTaken(error)) throw snapshotExists(name);
    throw error;
  }
  return { paths: savedMachinePaths(folder, "snapshot"), facts, record };
}

/** SnapshotAlreadyExistsError where the name is taken: to be known before the work is done. */
export async function requireFreeName(state: StatePaths, name: string): Promise<void> {
  if (await isNamed(snapshotFolder(state, name))) throw snapshotExists(name);
}

/**
 * SnapshotNotFoundError; SmolVMError "SNAPSHOT_DAMAGED" where its record, its memory or its disk is not what was saved; HostError where
 * this host can't tell.
 */
export async function getSnapshot(
  state: StatePaths,
  name: string,
  signal?: AbortSignal,
): Promise<SavedMachine> {
  const paths = savedMachinePaths(snapshotFolder(state, name), "snapshot");
  try {
    const text = await readRecord(paths.record).catch(unlessMissing);
    if (text === undefined && !(await isThere(paths.folder))) throw await notFound(paths.folder);
    if (text === undefined) throw new DamageError("its record is missing");
    const record = decodeSnapshotRecord(text);
    if (record.name !== name) throw new DamageError("its record is another one's");
    await requireUnchanged(paths.memory, record.memory, signal);
    const layers = await listLayers(paths.folder);
    if (layers.length !== record.layers.length)
      throw new DamageError(`its disk has ${layers.length} layers instead of ${record.layers.length}`);
    for (const [index, stamp] of record.layers.entries())
      await requireSameLayer(layers[index] ?? "", stamp, signal);
    return { paths, facts: record.facts, record };
  } catch (error) {
    signal?.throwIfAborted();
    throw named(name, error);
  }
}

/** For QEMU to read from. Closing it is the caller's. */
export async function openSavedState({ record, paths }: SavedMachine): Promise<FileHandle> {
  try {
    return (await openFile(paths.state, { mostBytes: MOST_STATE_BYTES })).file;
  } catch (error) {
    const damage = isMissing(error) ? new DamageError("its state is missing") : asDamage("state", error);
    return explain(record, paths, damage);
  }
}

/** The same for its memory, once it is in use: what was put in its place meanwhile would be found out by nobody else. */
export async function requireSavedMemory(
  { record, paths }: SavedMachine,
  signal?: AbortSignal,
): Promise<void> {
  if (record === null) return;
  await requireUnchanged(paths.memory, record.memory, signal).catch((error) => {
    signal?.throwIfAborted();
    return explain(record, paths, error);
  });
}

/** SmolVMError "SNAPSHOT_DAMAGED" where the state is not what was saved. */
export function requireSavedState({ record }: SavedMachine, content: Uint8Array): void {
  if (record === null) return;
  try {
    requireContent("state", content, record.state);
  } catch (error) {
    throw named(record.name, error);
  }
}

/** Every snapshot whose record is whole, the newest first. Throws where the host can't tell: that is no proof that there is none. */
export async function listStoredSnapshots(state: StatePaths): Promise<SnapshotRecord[]> {
  const names = await namesIn(state.snapshots);
  const records = await Promise.all(
    names
      .filter((name) => !name.startsWith("."))
      .map(async (name) => {
        const { record } = savedMachinePaths(snapshotFolder(state, name), "snapshot");
        try {
          return decodeSnapshotRecord(await readRecord(record));
        } catch (error) {
          if (error instanceof DamageError || isMissing(error)) return undefined;
          throw error;
        }
      }),
  );
  return records
    .filter((record) => record !== undefined)
    .sort((a, b) => b.facts.createdAt.localeCompare(a.facts.createdAt));
}

/** Nobody finds it from now on. Machines that were restored from it have all they need. SnapshotNotFoundError. */
export async function removeSnapshot(state: StatePaths, name: string): Promise<void> {
  const folder = snapshotFolder(state, name);
  const { folder: _, record, ...files } = savedMachinePaths(folder, "snapshot");
  await requireOurs(folder, record, Object.values(files));
  if (!(await discardFolder(folder))) throw await notFound(folder);
}

/** Removes what makers left that died. */
export async function collectDrafts(state: StatePaths): Promise<void> {
  for (const { path, verdict } of await listLeftDrafts(state)) {
    // Another one may be at it too: what is left then is for the next.
    if (verdict.life === "dead")
      await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }
}

/** The folders of what makers left that died, or may have. */
export async function listLeftDrafts(state: StatePaths): Promise<readonly Judged[]> {
  return listLeftIn(state.snapshots);
}

/** Files go with their snapshot when it is deleted: that is no damage. */
async function explain(
  record: SnapshotRecord | null,
  { folder }: SavedMachinePaths,
  error: unknown,
): Promise<never> {
  if (record === null) throw error instanceof DamageError ? copyGone(error) : error;
  throw (await isThere(folder)) ? named(record.name, error) : await notFound(folder);
}

/** A copy without a name goes with the program that asked for it. */
function copyGone(cause: DamageError): SmolVMError {
  return new SmolVMError(
    "SNAPSHOT_UNUSABLE",
    `The copy that a machine was to go on with is gone: ${cause.message}.`,
    {
      remediation: "Fork the machine again.",
      cause,
    },
  );
}

/** What stands in the way of a snapshot, by its name. What does not prove it damaged is no reason to throw it away. */
function named(name: string, error: unknown): unknown {
  if (error instanceof SmolVMError) return error;
  if (error instanceof DamageError) return damaged(name, error);
  return new HostError(`The snapshot "${name}" can't be read: ${(error as Error).message}.`, {
    remediation: `The snapshot is left as it is. ${remedyForHost(codeOf(error))}`,
    cause: error,
    details: { name },
  });
}

async function notFound(folder: string): Promise<SnapshotNotFoundError> {
  const name = basename(folder);
  const others = await namesIn(dirname(folder)).catch(() => []); // of no use here
  const nearest = nearestOf(
    name,
    others.filter((other) => !other.startsWith(".")),
  );
  const hint = "List those that there are: smolvm snapshot ls";
  return new SnapshotNotFoundError(`There is no snapshot "${name}".`, {
    remediation: nearest === undefined ? hint : `Did you mean "${nearest}"? ${hint}`,
    details: { name, nearest },
  });
}

function damaged(name: string, cause: DamageError): SmolVMError {
  return new SmolVMError("SNAPSHOT_DAMAGED", `The snapshot "${name}" is damaged: ${cause.message}.`, {
    remediation: `Remove it: smolvm snapshot rm ${name}`,
    cause,
    details: { name },
  });
}

function snapshotExists(name: string): SnapshotAlreadyExistsError {
  return new SnapshotAlreadyExistsError(`A snapshot named "${name}" exists already.`, {
    remediation: `Choose another name, leave it out to have one made, or remove that one: smolvm snapshot rm ${name}`,
    details: { name },
  });
}

async function bytesOf(paths: readonly string[]): Promise<number> {
  const found = await Promise.all(paths.map((path) => stat(path)));
  return found.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}
