import { stat } from "node:fs/promises";
import {
  currentAmong,
  deleteImage as deleteStored,
  foldersOfImage,
  type Image,
  inspectImage as inspectStored,
  listImages as listStored,
} from "../../image/images.ts";
import { type StatePaths, statePaths } from "../../state/paths.ts";
import type { Architecture } from "../../util/architecture.ts";
import { parseName } from "../../util/names.ts";
import { checkFunction, checkOptionKeys, parseSignal, refuse } from "../../util/options.ts";
import { type BuildImageOptions, getImage } from "../boot/get-image.ts";
import { ProgressGuard } from "../machine/callbacks.ts";
import { hostTrouble, throwHostTrouble } from "../machine/host-trouble.ts";
import { removeTemplatesOf } from "../template/templates.ts";
import { requireUnused } from "./image-users.ts";

/** A built image. */
export interface ImageInfo {
  readonly name: string;
  readonly arch: Architecture;
  /** SHA-256 over all that went into it. */
  readonly digest: string;
  readonly kernelVersion: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** New machines of its name start from it. Not so of an older one, nor of one that another version of this library made. */
  readonly current: boolean;
  /** The Debian mirror its packages came from. */
  readonly mirror: string;
  /** What its files take on the disk, in bytes. */
  readonly sizeBytes: number;
  readonly kernelPath: string;
  readonly initramfsPath: string;
  /** A raw ext4 disk; null where the image has none. */
  readonly rootfsPath: string | null;
  readonly packages: readonly { readonly name: string; readonly version: string; readonly sha256: string }[];
}

/** Builds "debian" or "tiny", or finds it built. ImageError, HostError, OperationAbortedError. */
export async function buildImage(name = "debian", options: BuildImageOptions = {}): Promise<ImageInfo> {
  checkBuildOptions(options);
  const progress = new ProgressGuard(options.onProgress);
  const signal = options.signal ? AbortSignal.any([progress.signal, options.signal]) : progress.signal;
  try {
    const all = { ...options, onProgress: progress.report, signal };
    const state = statePaths();
    const image = await getImage(state, name, all);
    return await describeImage(image, await currentAmong(await listStored(state)));
  } catch (error) {
    throw hostTrouble(progress.explain(error));
  }
}

/** Every built image, the newest first. */
export async function listImages(): Promise<ImageInfo[]> {
  const images = await listStored(statePaths()).catch(throwHostTrouble);
  const current = await currentAmong(images);
  return Promise.all(images.map((image) => describeImage(image, current)));
}

/** The image that new machines of that name start from; where there is none such, the newest. ImageError where none is built. */
export async function inspectImage(name: string): Promise<ImageInfo> {
  const state = statePaths();
  const image = await inspectStored(state, parseName(name)).catch(throwHostTrouble);
  return describeImage(image, await currentAmong(await listStored(state)));
}

/**
 * Removes a built image; it is built again when it is next needed. Machines and snapshots keep what they stand on: only where links to it
 * could not be made it is in use, and nothing is removed. ImageError; also where it isn't there.
 */
export async function deleteImage(name: string): Promise<void> {
  await deleteUnused(statePaths(), parseName(name)).catch(throwHostTrouble);
}

async function deleteUnused(state: StatePaths, name: string): Promise<void> {
  await requireUnused(state, name, await foldersOfImage(state, name));
  await deleteStored(state, name);
  await removeTemplatesOf(state, name);
}

function checkBuildOptions(options: BuildImageOptions): void {
  checkOptionKeys(options, ["rebuild", "mirror", "onProgress", "signal"], "buildImage()");
  const { rebuild, mirror, onProgress, signal } = options;
  if (rebuild !== undefined && typeof rebuild !== "boolean")
    throw refuse("rebuild", rebuild, "true or false");
  if (mirror !== undefined && (typeof mirror !== "string" || !URL.canParse(mirror)))
    throw refuse("mirror", mirror, "the address of a Debian mirror");
  checkFunction("onProgress", onProgress);
  parseSignal(signal);
}

async function describeImage(
  { manifest, kernel, initramfs, rootfs }: Image,
  current: ReadonlySet<string>,
): Promise<ImageInfo> {
  const { name, arch, digest, kernelVersion, createdAt, mirror, packages } = manifest;
  return {
    name,
    arch,
    digest,
    kernelVersion,
    createdAt,
    current: current.has(digest),
    mirror,
    sizeBytes: await diskUsage([kernel, initramfs, ...(rootfs === null ? [] : [rootfs])]),
    kernelPath: kernel,
    initramfsPath: initramfs,
    rootfsPath: rootfs,
    packages,
  };
}

/** What the files take, holes left out. POSIX counts blocks of 512 bytes in st_blocks. */
async function diskUsage(paths: readonly string[]): Promise<number> {
  const found = await Promise.all(paths.map((path) => stat(path)));
  return found.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}
