import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type ImagePaths, imageBuildPaths, imagePaths, type StatePaths } from "../state/paths.ts";
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

export interface StoredImages {
  /** The newest first. */
  readonly images: readonly Image[];
  readonly damaged: readonly DamagedImage[];
}

/** The images of a name, or all. */
export async function readImages(state: StatePaths, name?: string): Promise<StoredImages> {
  const folders = await readdir(state.images).catch(() => []);
  const wanted = folders.filter((folder) =>
    name === undefined ? !folder.startsWith(".") : isFolderOf(folder, name),
  );
  const found = await Promise.all(wanted.map((folder) => readImage(imagePaths(state, folder))));
  const images = found.filter((image) => "manifest" in image);
  images.sort((a, b) => b.manifest.createdAt.localeCompare(a.manifest.createdAt));
  return { images, damaged: found.filter((image) => "reason" in image) };
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

async function readImage(paths: ImagePaths): Promise<Image | DamagedImage> {
  try {
    const manifest = decodeManifest(await readFile(paths.manifest, "utf8"));
    await requireSize(paths.kernel, manifest.kernelBytes);
    await requireSize(paths.initramfs, manifest.initramfsBytes);
    if (manifest.rootfsBytes !== null) await requireSize(paths.rootfs, manifest.rootfsBytes);
    return {
      manifest,
      kernel: paths.kernel,
      initramfs: paths.initramfs,
      rootfs: manifest.rootfsBytes === null ? null : paths.rootfs,
    };
  } catch (error) {
    return { folder: paths.folder, reason: `has a bad ${error instanceof Error ? error.message : error}` };
  }
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
  await writeFile(draft.manifest, `${JSON.stringify(manifest, null, 1)}\n`, { mode: 0o600 });
  // Else a host that loses its power may have the name without the content.
  const files = [
    draft.manifest,
    draft.kernel,
    draft.initramfs,
    ...(manifest.rootfsBytes === null ? [] : [draft.rootfs]),
  ];
  await Promise.all(files.map(syncFile));
  const final = imagePaths(state, imageFolder(manifest.name, manifest.arch, manifest.digest));
  try {
    await rename(draft.folder, final.folder);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    await rm(draft.folder, { recursive: true, force: true });
  }
  const image = await readImage(final);
  if ("reason" in image) throw new Error(`${image.folder} ${image.reason}`);
  return image;
}

/** Puts a damaged image out of the way, but keeps it: its disk may hold somebody's machine. */
export async function setAside(state: StatePaths, stem: string, damaged: DamagedImage): Promise<string> {
  const target = await mkdtemp(join(state.images, imageBuildPaths(state, stem).damagedPrefix));
  await rename(damaged.folder, target);
  return target;
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, "r");
  await handle.sync().finally(() => handle.close());
}

async function requireSize(path: string, bytes: number): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new Error(`${basename(path)}: it is missing`);
  if (found.size !== bytes)
    throw new Error(`${basename(path)}: it has ${found.size} bytes instead of ${bytes}`);
}

export async function ensureImagesFolder(state: StatePaths): Promise<void> {
  await mkdir(state.images, { recursive: true, mode: 0o700 });
}
