import { stat } from "node:fs/promises";
import { ImageError } from "../errors.ts";
import { hostArch } from "../host/platform.ts";
import {
  currentAmong,
  deleteImage as deleteStored,
  type EnsureImageOptions,
  ensureImage,
  foldersOfImage,
  IMAGE_NAMES,
  type Image,
  type ImageName,
  inspectImage as inspectStored,
  listImages as listStored,
} from "../image/images.ts";
import type { OnProgress } from "../image/progress.ts";
import { runGuest } from "../qemu/run-guest.ts";
import { type StatePaths, statePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { parseName } from "../util/names.ts";
import { checkFunction, checkOptionKeys, nearestOf, parseSignal, refuse } from "../util/options.ts";
import { imageBootArgs } from "./boot-args.ts";
import { ProgressGuard } from "./callbacks.ts";
import { hostTrouble, throwHostTrouble } from "./host-trouble.ts";
import { requireUnused } from "./image-users.ts";
import { removeTemplatesOf } from "./templates.ts";

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

export interface BuildImageOptions {
  /** Builds again, from the packages the mirror has now. Default false. */
  rebuild?: boolean | undefined;
  /** The Debian mirror; default: `$SMOLVM_DEBIAN_MIRROR`, else the host's own, else Debian's. */
  mirror?: string | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** Builds "debian" or "tiny", or finds it built. ImageError, HostError, OperationAbortedError. */
export async function buildImage(name = "debian", options: BuildImageOptions = {}): Promise<ImageInfo> {
  checkBuildOptions(options);
  const progress = new ProgressGuard(options.onProgress);
  const signal = options.signal ? AbortSignal.any([progress.signal, options.signal]) : progress.signal;
  try {
    const all = { ...options, onProgress: progress.report, signal };
    const state = statePaths();
    const image = await getImage(state, imageName(name), all);
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

/** The image, built where it is missing. */
export async function getImage(
  state: StatePaths,
  name: string,
  options: BuildImageOptions & Pick<EnsureImageOptions, "untimed">,
): Promise<Image> {
  const { onProgress, signal, mirror, untimed, rebuild = false } = options;
  return ensureImage(imageName(name), {
    state,
    arch: hostArch(),
    // The builder guest always runs emulated: which accelerator works is only found out with an image.
    runGuest: ({ bootArgs, ...task }) =>
      runGuest(
        { ...task, bootArgs: `${imageBootArgs(task.arch, false)} ${bootArgs}` },
        { state, accelerator: "tcg" },
      ),
    rebuild,
    ...(mirror !== undefined && { mirror }),
    ...(untimed && { untimed }),
    onProgress,
    signal,
  });
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

/** Images are known by name until one can be built from a recipe of one's own. */
function imageName(name: unknown): ImageName {
  if (typeof name !== "string") throw refuse("name", name, "the name of an image");
  const found = IMAGE_NAMES.find((each) => each === name);
  if (found) return found;
  const nearest = nearestOf(name, IMAGE_NAMES);
  throw new ImageError(`There is no image "${name}"${nearest ? `; did you mean "${nearest}"?` : "."}`, {
    remediation: `Known images: ${IMAGE_NAMES.join(", ")}.`,
    details: { name, known: IMAGE_NAMES },
  });
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
