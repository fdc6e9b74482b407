import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { basename, join } from "node:path";
import { isLocked } from "../host/lock.ts";
import {
  requireContent,
  requireSameDigest,
  requireUntouched,
  stampContent,
  stampFile,
} from "./file-stamp.ts";
import {
  DISCARDED_PREFIX,
  keyOfDraft,
  type SavedMachinePaths,
  type StatePaths,
  savedMachinePaths,
  templatePaths,
} from "./paths.ts";
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

/** What is known of a template when its files are made. */
type NewRecord = Omit<TemplateRecord, "formatVersion" | "createdAt" | "memory" | "state" | "disk">;

/** The template with that key; undefined where there is none. Throws where it is damaged, saying what is wrong, to go after "it". */
export async function findTemplate(state: StatePaths, key: string): Promise<Template | undefined> {
  const { template } = templatePaths(state, key);
  const text = await readFile(template.record, "utf8").catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" && !(await exists(template.folder))) return undefined;
    throw new Error(`its record can't be read: ${error.message}`);
  });
  if (text === undefined) return undefined;
  const record = decodeTemplateRecord(text);
  if (record.key !== key) throw new Error("its record is another one's");
  await requireUntouched(template.memory, record.memory);
  return { paths: template, record };
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
  const hasDisk = await exists(draft.disk);
  for (const path of [draft.memory, draft.state, ...(hasDisk ? [draft.disk] : [])]) await syncFile(path);
  const record: TemplateRecord = {
    formatVersion: 1,
    createdAt: new Date().toISOString(),
    ...known,
    memory: await stampFile(draft.memory),
    state: stampContent(await readFile(draft.state)),
    disk: hasDisk ? stampContent(await readFile(draft.disk)) : null,
  };
  await rm(draft.initramfs, { force: true });
  await writeFile(draft.record, encodeTemplateRecord(record), { mode: 0o600 });
  await syncFile(draft.record);
  const { template } = templatePaths(state, known.key);
  await discardTemplate(state, known.key);
  await rename(draft.folder, template.folder);
  return { paths: template, record };
}

/** The same, unless another one has taken its place meanwhile. */
export async function discardThisTemplate(state: StatePaths, { record }: Template): Promise<void> {
  const found = await readStored(state, record.key);
  if (found && found.record.createdAt !== record.createdAt) return;
  await discardTemplate(state, record.key);
}

/** Nobody finds it from now on. A clone that runs keeps what it has of it; one that is missing is fine. */
export async function discardTemplate(state: StatePaths, key: string): Promise<void> {
  const { folder } = templatePaths(state, key).template;
  if (!(await exists(folder))) return;
  const target = await mkdtemp(join(state.templates, DISCARDED_PREFIX));
  await rename(folder, target).catch(() => {}); // another process was first
  await rm(target, { recursive: true, force: true });
}

/** Every template whose record can be read, the one that was used last first. */
export async function listStoredTemplates(state: StatePaths): Promise<StoredTemplate[]> {
  const names = await readdir(state.templates).catch(() => []);
  const found = await Promise.all(
    names.filter((name) => !name.startsWith(".")).map((name) => readStored(state, name)),
  );
  return found.filter((each) => each !== undefined).sort((a, b) => b.lastUsedMs - a.lastUsedMs);
}

/** Reads all of it, which takes a second for each GiB. Throws where it is not what was saved. */
export async function checkTemplate({ paths, record }: Template): Promise<void> {
  requireContent("state", await readFile(paths.state), record.state);
  if (record.disk) requireContent("disk", await readFile(paths.disk), record.disk);
  await requireSameDigest(paths.memory, record.memory);
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
  await mkdir(state.templates, { recursive: true, mode: 0o700 });
}

async function removeLeftovers(state: StatePaths): Promise<void> {
  for (const folder of await listLeftTemplates(state)) await rm(folder, { recursive: true, force: true });
}

/** The folders of what makers and removers left that died. */
export async function listLeftTemplates(state: StatePaths): Promise<string[]> {
  const names = await readdir(state.templates).catch(() => []);
  const left = await Promise.all(
    names.map(async (name) => {
      const key = keyOfDraft(name);
      if (key === undefined) return name.startsWith(DISCARDED_PREFIX);
      return !(await isLocked(templatePaths(state, key).lock));
    }),
  );
  return names.filter((_, index) => left[index]).map((name) => join(state.templates, name));
}

async function readStored(state: StatePaths, name: string): Promise<StoredTemplate | undefined> {
  const { template: paths } = templatePaths(state, name);
  try {
    const record = decodeTemplateRecord(await readFile(paths.record, "utf8"));
    if (record.key !== basename(paths.folder)) return undefined;
    const files = [paths.record, paths.memory, paths.state, ...(record.disk ? [paths.disk] : [])];
    const found = await Promise.all(files.map((path) => stat(path).catch(() => null)));
    return {
      paths,
      record,
      bytes: found.reduce((sum, each) => sum + (each?.blocks ?? 0) * 512, 0),
      lastUsedMs: found[0]?.mtimeMs ?? 0,
    };
  } catch {
    return undefined;
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
