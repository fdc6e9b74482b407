import { mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { HostError } from "../errors.ts";
import { judgeLock } from "../host/lock.ts";
import { makeFolders } from "../host/make-folders.ts";
import { type Judged, listLeft, namesIn } from "../host/names-in.ts";
import { NoFileError } from "../host/no-file.ts";
import { ALIVE } from "../host/process-identity.ts";
import { MOST_RECORD_BYTES, readText } from "../host/read-file.ts";
import { remedyForHost } from "../host/remedies.ts";
import { codeOf, isMissing, syncFile, writeWhole } from "../host/whole-file.ts";
import { isNameTaken, renameFolder } from "../host/whole-folder.ts";
import {
  type ImagePaths,
  imageBuildPaths,
  imagePaths,
  type StatePaths,
  stemOfDraft,
} from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { decodeManifest, type ImageManifest } from "./manifest.ts";

/** An image that is whole: its files are there and as long as they should be. */
export interface Image {
  readonly manifest: ImageManifest;
  /** Absolute paths. */
  readonly kernel: string;
  readonly initramfs: string;
  /** A raw ext4 file system; null where the image stays in memory. */
  readonly rootfs: string | null;
}

export interface DamagedImage {
  readonly folder: string;
  /** What is wrong, to go after "it". */
  readonly reason: string;
}

/** An image of which this host can't tell at the moment whether it is whole: to be left as it is. */
interface UnreadImage {
  readonly folder: string;
  readonly trouble: Error;
}

export interface StoredImages {
  /** The newest first. */
  readonly images: readonly Image[];
  readonly damaged: readonly DamagedImage[];
  readonly unread: readonly UnreadImage[];
}

/** The images of a name, or all. */
export async function readImages(state: StatePaths, name?: string): Promise<StoredImages> {
  const folders = await namesIn(state.images);
  const wanted = folders.filter((folder) =>
    name === undefined ? !folder.startsWith(".") : isFolderOf(folder, name),
  );
  const found = await Promise.all(wanted.map((folder) => readImage(imagePaths(state, folder))));
  const images = found.filter((image) => "manifest" in image);
  images.sort((a, b) => b.manifest.createdAt.localeCompare(a.manifest.createdAt));
  return {
    images,
    damaged: found.filter((image) => "reason" in image),
    unread: found.filter((image) => "trouble" in image),
  };
}

/** HostError where there are such: what can't be read now is not to be made a second time. */
export function requireRead({ unread: [first] }: StoredImages): void {
  if (!first) return;
  throw new HostError(`The image in ${first.folder} can't be read: ${first.trouble.message}.`, {
    remediation: `The image is left as it is. ${remedyForHost(codeOf(first.trouble))}`,
    cause: first.trouble,
    details: { folder: first.folder },
  });
}

/** The folder's name says what is in it: the same inputs always give the same one. */
function imageFolder(name: string, arch: Architecture, digest: string): string {
  return `${name}-${arch}-${digest.slice(0, 16)}`;
}

function isFolderOf(folder: string, name: string): boolean {
  return (
    folder.startsWith(`${name}-`) && /^(x86_64|aarch64)-[0-9a-f]{16}$/.test(folder.slice(name.length + 1))
  );
}

async function readImage(paths: ImagePaths): Promise<Image | DamagedImage | UnreadImage> {
  const { folder } = paths;
  try {
    const text = await readText(paths.manifest, MOST_RECORD_BYTES).catch(sayMissing(paths.manifest));
    const manifest = decodeManifest(text);
    await requireSize(paths.kernel, manifest.kernelBytes);
    await requireSize(paths.initramfs, manifest.initramfsBytes);
    if (manifest.rootfsBytes !== null) await requireSize(paths.rootfs, manifest.rootfsBytes);
    return imageAt(paths, manifest);
  } catch (error) {
    if (error instanceof RangeError) return { folder, reason: `has a bad ${error.message}` };
    return { folder, trouble: error as Error };
  }
}

function imageAt({ kernel, initramfs, rootfs }: ImagePaths, manifest: ImageManifest): Image {
  return { manifest, kernel, initramfs, rootfs: manifest.rootfsBytes === null ? null : rootfs };
}

async function requireSize(path: string, bytes: number): Promise<void> {
  const found = await stat(path).catch(sayMissing(path));
  if (found.size !== bytes)
    throw new RangeError(`${basename(path)}: it has ${found.size} bytes instead of ${bytes}`);
}

/** A RangeError says what is wrong with an image; what the host can't read at the moment may be right. */
function sayMissing(path: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof NoFileError) throw new RangeError(`${basename(path)}: it ${error.problem}`);
    throw isMissing(error) ? new RangeError(`${basename(path)}: it is missing`) : error;
  };
}

/** An empty folder for an image in the making; what its makers left that died is removed first. Needs the lock. */
export async function openDraft(state: StatePaths, stem: string): Promise<ImagePaths> {
  const { draftPrefix } = imageBuildPaths(state, stem);
  for (const name of await readdir(state.images)) {
    if (name.startsWith(draftPrefix)) await rm(join(state.images, name), { recursive: true, force: true });
  }
  const folder = await mkdtemp(join(state.images, draftPrefix));
  return imagePaths(state, basename(folder));
}

/** Gives a finished draft its name, at once and whole. Where that image is there already, it stays and the draft goes. */
export async function publishDraft(
  state: StatePaths,
  draft: ImagePaths,
  manifest: ImageManifest,
): Promise<Image> {
  // Else a host that loses its power may have the name without the content.
  const files = [draft.kernel, draft.initramfs, ...(manifest.rootfsBytes === null ? [] : [draft.rootfs])];
  await Promise.all(files.map(syncFile));
  await writeWhole(draft.manifest, `${JSON.stringify(manifest, null, 1)}\n`, { durable: true });
  const final = imagePaths(state, imageFolder(manifest.name, manifest.arch, manifest.digest));
  try {
    await renameFolder(draft.folder, final.folder, { durable: true });
    return imageAt(final, manifest);
  } catch (error) {
    if (!isNameTaken(error)) throw error;
    await rm(draft.folder, { recursive: true, force: true });
  }
  const image = await readImage(final);
  if ("reason" in image) throw new Error(`${image.folder} ${image.reason}`);
  if ("trouble" in image) throw image.trouble;
  return image;
}

/** The folders of what builders and removers left that died, or may have. A draft belongs to the holder of the lock. */
export async function listLeftImages(state: StatePaths): Promise<readonly Judged[]> {
  const judge = (name: string) => {
    const stem = stemOfDraft(name);
    return stem === undefined ? ALIVE : judgeLock(imageBuildPaths(state, stem).lock);
  };
  return listLeft(state.images, judge);
}

/** Puts a damaged image out of the way, but keeps it: its disk may hold somebody's machine. */
export async function setAside(state: StatePaths, stem: string, damaged: DamagedImage): Promise<string> {
  const target = await mkdtemp(join(state.images, imageBuildPaths(state, stem).damagedPrefix));
  await rename(damaged.folder, target);
  return target;
}

export async function ensureImagesFolder(state: StatePaths): Promise<void> {
  await makeFolders(state.images);
}
