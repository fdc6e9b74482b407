import { link, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { copyWhole } from "../host/copy-file.ts";
import { requireFile } from "../host/read-file.ts";
import { codeOf, isThere, syncFile, syncFolder } from "../host/whole-file.ts";
import { diskBase, diskLayer } from "./paths.ts";

/** The files of a folder's disk, the lowest first; none where it has no disk yet. */
export async function listLayers(folder: string): Promise<string[]> {
  const layers: string[] = [];
  for (let path = diskLayer(folder, 0); await isThere(path); path = diskLayer(folder, layers.length))
    layers.push(path);
  return layers;
}

/** What a folder's own disk lies on; undefined where it lies on what its image has. */
export async function findBase(folder: string): Promise<string | undefined> {
  return (await isThere(diskBase(folder))) ? diskBase(folder) : undefined;
}

/** The highest first, so that what is left where it breaks off is found again. */
export async function removeDisk(folder: string): Promise<void> {
  for (const path of (await listLayers(folder)).reverse()) await rm(path);
  await rm(diskBase(folder), { force: true });
}

/**
 * Gives a folder the same frozen layers as another, or the lowest `count` of them, and the same base: links, so that neither is
 * there for the other's sake; where there are none to have, copies. Gives the layers' new names. OperationAbortedError.
 */
export async function shareDisk(
  from: string,
  to: string,
  { count, signal }: { readonly count?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<string[]> {
  const frozen = (await listLayers(from)).slice(0, count);
  const base = await findBase(from);
  const pairs: [string, string][] = frozen.map((path, index) => [path, diskLayer(to, index)]);
  if (base !== undefined) pairs.push([base, diskBase(to)]);
  for (const [path, target] of pairs) {
    await requireFile(path);
    if (!(await linkFile(path, target))) await copyWhole(path, target, { signal });
  }
  return pairs.slice(0, frozen.length).map(([, target]) => target);
}

/** False where there are no links to have. */
export async function linkFile(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (NO_LINKS.has(codeOf(error))) return false;
    throw error;
  }
}

/** Whether somebody else has the file too, so that nobody may write to it. */
export async function isShared(path: string): Promise<boolean> {
  return (await stat(path)).nlink > 1;
}

/**
 * Gives the folder a copy of its own of a layer that others have too: those keep the file that it was. False where there can be none, as on a
 * full disk; then all is as it was. OperationAbortedError.
 */
export async function unshareLayer(path: string, durable: boolean, signal?: AbortSignal): Promise<boolean> {
  const draft = draftOf(path);
  try {
    await rm(draft, { force: true });
    await copyWhole(path, draft, { signal });
    if (durable) await syncFile(draft);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    if (signal?.aborted) throw error;
    return false;
  }
  if (durable) await syncFolder(dirname(path));
  return true;
}

/** Removes copies that a crash left half made. Only for the one who may unshare these layers. */
export async function removeLayerDrafts(layers: readonly string[]): Promise<void> {
  await Promise.all(layers.map((path) => rm(draftOf(path), { force: true })));
}

function draftOf(path: string): string {
  return `${path}.part`;
}

/** Another file system, one without links, too many of them, or a file of another user. */
const NO_LINKS: ReadonlySet<string> = new Set(["EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP"]);
