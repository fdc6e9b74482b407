import { type FileHandle, mkdtemp, readdir, rm, stat, utimes } from "node:fs/promises";
import { basename, join } from "node:path";
import { judgeLock } from "../host/lock.ts";
import { makeFolders } from "../host/make-folders.ts";
import { type Judged, listLeft, namesIn } from "../host/names-in.ts";
import { ALIVE } from "../host/process-identity.ts";
import { openFile, readWhole } from "../host/read-file.ts";
import { isMissing, isThere, syncFile, unlessMissing, writeWhole } from "../host/whole-file.ts";
import { discardFolder, renameFolder } from "../host/whole-folder.ts";
import { DamageError } from "./damage.ts";
import {
  MOST_STATE_BYTES,
  requireContent,
  requireSameDigest,
  requireUnchanged,
  stampContent,
  stampFile,
} from "./file-stamp.ts";
import {
  keyOfDraft,
  type SavedMachinePaths,
  type StatePaths,
  savedMachinePaths,
  templatePaths,
} from "./paths.ts";
import { asDamage, readRecord } from "./read-record.ts";
import { decodeTemplateRecord, encodeTemplateRecord, type TemplateRecord } from "./template-record.ts";

/** A machine that was saved for others to be started as its clones. */
export interface Template {
  readonly paths: SavedMachinePaths;
  readonly record: TemplateRecord;
}

export interface StoredTemplate extends Template {
  /** What its files take on the disk, holes left out. */
  readonly bytes: number;
  readonly lastUsedMs: number;
}

/** What the machine of a template has written is some hundred KiB. */
const MOST_DISK_BYTES = 1024 * 1024 * 1024;

/** What is known of a template when its files are made. */
type NewRecord = Omit<TemplateRecord, "formatVersion" | "createdAt" | "memory" | "state" | "disk">;

/** The template with that key; undefined where there is none. DamageError; any other error says that the host could not tell. */
export async function findTemplate(
  state: StatePaths,
  key: string,
  signal?: AbortSignal,
): Promise<Template | undefined> {
  const { template } = templatePaths(state, key);
  const text = await readRecord(template.record).catch(unlessMissing);
  if (text === undefined) {
    if (await isThere(template.folder)) throw new DamageError("its record is missing");
    return undefined;
  }
  const record = decodeTemplateRecord(text);
  if (record.key !== key) throw new DamageError("its record is another one's");
  const found = { paths: template, record };
  await requireSavedMemory(found, signal);
  return found;
}

/** DamageError where its memory is not what was saved. */
export async function requireSavedMemory({ paths, record }: Template, signal?: AbortSignal): Promise<void> {
  await requireUnchanged(paths.memory, record.memory, signal);
}

/** For QEMU to read from; closing it is the caller's. DamageError where it is missing. */
export async function openTemplateState({ paths }: Template): Promise<FileHandle> {
  return (await openFile(paths.state, { mostBytes: MOST_STATE_BYTES }).catch(sayMissing("state"))).file;
}

/** What its machine had written on its disk. DamageError. */
export async function readTemplateDisk({ paths, record }: Template): Promise<Buffer | null> {
  if (record.disk === null) return null;
  const content = await readWhole(paths.disk, MOST_DISK_BYTES).catch(sayMissing("disk"));
  requireContent("disk", content, record.disk);
  return content;
}

function sayMissing(name: string): (error: unknown) => never {
  return (error) => {
    throw isMissing(error) ? new DamageError(`its ${name} is missing`) : asDamage(name, error);
  };
}

/**
 * A clone of it, begun at that time, did not come up, and nothing says whose fault that is. True where the one before it did not
 * either: then it is not worth another try.
 */
export async function doubtTemplate({ paths }: Template, begunAtMs: number): Promise<boolean> {
  const earlier = await stat(paths.doubt).catch(() => undefined);
  if (earlier && earlier.mtimeMs < begunAtMs) return true;
  await writeWhole(paths.doubt, "", { durable: false }).catch(() => {});
  return false;
}

/** A clone of it has come up. */
export async function trustTemplate({ paths }: Template): Promise<void> {
  await rm(paths.doubt, { force: true });
}

/** Notes that it is wanted, so that it is not the next to be pruned. */
export async function touchTemplate({ paths }: Template): Promise<void> {
  const now = new Date();
  await utimes(paths.record, now, now);
}

/** An empty folder for a template in the making; what its makers left that died is removed first. Needs the lock. */
export async function openTemplateDraft(state: StatePaths, key: string): Promise<SavedMachinePaths> {
  const { draftPrefix } = templatePaths(state, key);
  for (const name of await readdir(state.templates)) {
    if (name.startsWith(draftPrefix)) await rm(join(state.templates, name), { recursive: true, force: true });
  }
  return savedMachinePaths(await mkdtemp(join(state.templates, draftPrefix)), "template");
}

/**
 * Gives a finished draft its name, at once and whole. Its files are on the host's disk by then: a record that outlived
 * them would be believed after a power failure. Needs the lock.
 */
export async function publishTemplate(
  state: StatePaths,
  draft: SavedMachinePaths,
  known: NewRecord,
): Promise<Template> {
  const hasDisk = await isThere(draft.disk);
  for (const path of [draft.memory, draft.state, ...(hasDisk ? [draft.disk] : [])]) await syncFile(path);
  const record: TemplateRecord = {
    formatVersion: 1,
    createdAt: new Date().toISOString(),
    ...known,
    memory: await stampFile(draft.memory),
    state: stampContent(await readWhole(draft.state, MOST_STATE_BYTES)),
    disk: hasDisk ? stampContent(await readWhole(draft.disk, MOST_DISK_BYTES)) : null,
  };
  await rm(draft.initramfs, { force: true });
  await writeWhole(draft.record, encodeTemplateRecord(record), { durable: true });
  const { template } = templatePaths(state, known.key);
  await discardTemplate(state, known.key);
  await renameFolder(draft.folder, template.folder, { durable: true });
  return { paths: template, record };
}

/** The same, unless another one has taken its place meanwhile, or that can't be told. */
export async function discardThisTemplate(state: StatePaths, { record }: Template): Promise<void> {
  const found = await readStored(state, record.key);
  if (found && found.record.createdAt !== record.createdAt) return;
  await discardTemplate(state, record.key);
}

/** Nobody finds it from now on. A clone that runs keeps what it has of it; one that is missing is fine. */
export async function discardTemplate(state: StatePaths, key: string): Promise<void> {
  const { folder } = templatePaths(state, key).template;
  await discardFolder(folder);
}

/** Every template whose record can be read, the one that was used last first. Throws where their folder can't be. */
export async function listStoredTemplates(state: StatePaths): Promise<StoredTemplate[]> {
  const names = await namesIn(state.templates);
  const found = await Promise.all(
    names
      .filter((name) => !name.startsWith("."))
      .map((name) => readStored(state, name).catch(() => undefined)),
  );
  return found.filter((each) => each !== undefined).sort((a, b) => b.lastUsedMs - a.lastUsedMs);
}

/** Reads all of it, which takes a second for each GiB. Throws where it is not what was saved. */
export async function checkTemplate({ paths, record }: Template): Promise<void> {
  requireContent("state", await readPart(paths.state, MOST_STATE_BYTES), record.state);
  if (record.disk) requireContent("disk", await readPart(paths.disk, MOST_DISK_BYTES), record.disk);
  await requireSameDigest(paths.memory, record.memory);
}

async function readPart(path: string, mostBytes: number): Promise<Buffer> {
  return readWhole(path, mostBytes).catch((error) => {
    throw asDamage(basename(path), error);
  });
}

export interface PruneLimits {
  readonly unusedMs: number;
  /** Of all that are kept. */
  readonly bytes: number;
}

/** Removes what was not used for long, and the longest unused above the limit; and what makers left that died. Gives the keys. */
export async function pruneStoredTemplates(state: StatePaths, limits: PruneLimits): Promise<string[]> {
  await removeLeftovers(state);
  const worn = await listWornTemplates(state, limits);
  for (const { record } of worn) await discardTemplate(state, record.key);
  return worn.map(({ record }) => record.key);
}

/** What was not used for long, and the longest unused above the limit. */
export async function listWornTemplates(state: StatePaths, limits: PruneLimits): Promise<StoredTemplate[]> {
  let bytes = 0;
  return (await listStoredTemplates(state)).filter((template) => {
    bytes += template.bytes;
    if (Date.now() - template.lastUsedMs <= limits.unusedMs && bytes <= limits.bytes) return false;
    bytes -= template.bytes;
    return true;
  });
}

export async function ensureTemplatesFolder(state: StatePaths): Promise<void> {
  await makeFolders(state.templates);
}

async function removeLeftovers(state: StatePaths): Promise<void> {
  for (const { path, verdict } of await listLeftTemplates(state))
    if (verdict.life === "dead") await rm(path, { recursive: true, force: true });
}

/** The folders of what makers and removers left that died, or may have. A draft belongs to the holder of the lock. */
export async function listLeftTemplates(state: StatePaths): Promise<readonly Judged[]> {
  const judge = (name: string) => {
    const key = keyOfDraft(name);
    return key === undefined ? ALIVE : judgeLock(templatePaths(state, key).lock);
  };
  return listLeft(state.templates, judge);
}

async function readStored(state: StatePaths, name: string): Promise<StoredTemplate | undefined> {
  const { template: paths } = templatePaths(state, name);
  try {
    const record = decodeTemplateRecord(await readRecord(paths.record));
    if (record.key !== basename(paths.folder)) return undefined;
    const files = [paths.record, paths.memory, paths.state, ...(record.disk ? [paths.disk] : [])];
    const found = await Promise.all(files.map((path) => stat(path).catch(() => null)));
    return {
      paths,
      record,
      bytes: found.reduce((sum, each) => sum + (each?.blocks ?? 0) * 512, 0),
      lastUsedMs: found[0]?.mtimeMs ?? 0,
    };
  } catch (error) {
    if (error instanceof DamageError || isMissing(error)) return undefined;
    throw error;
  }
}
