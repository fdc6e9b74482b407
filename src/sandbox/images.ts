import { stat } from "node:fs/promises";
import { ImageError } from "../errors.ts";
import { hostArch } from "../host/platform.ts";
import {
  deleteImage as deleteStored,
  ensureImage,
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
import { checkOptionKeys, nearestOf } from "../util/options.ts";
import { imageBootArgs } from "./boot-args.ts";
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
  checkOptionKeys(options, ["rebuild", "mirror", "onProgress", "signal"], "buildImage()");
  return describeImage(await getImage(statePaths(), name, options));
}

/** Every built image, by name. */
export async function listImages(): Promise<ImageInfo[]> {
  const images = await listStored(statePaths());
  return Promise.all(images.map(describeImage));
}

/** ImageError where it isn't built. */
export async function inspectImage(name: string): Promise<ImageInfo> {
  return describeImage(await inspectStored(statePaths(), parseName(name)));
}

/** Removes a built image; it is built again when it is next needed. ImageError where it isn't there. */
export async function deleteImage(name: string): Promise<void> {
  const state = statePaths();
  await deleteStored(state, parseName(name));
  await removeTemplatesOf(state, name);
}

/** The image, built where it is missing. */
export async function getImage(state: StatePaths, name: string, options: BuildImageOptions): Promise<Image> {
  const { onProgress, signal, mirror, rebuild = false } = options;
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
    onProgress,
    signal,
  });
}

/** Images are known by name until one can be built from a recipe of one's own. */
function imageName(name: string): ImageName {
  const known: readonly ImageName[] = ["debian", "tiny"];
  const found = known.find((each) => each === name);
  if (found) return found;
  const nearest = nearestOf(name, known);
  throw new ImageError(`There is no image "${name}"${nearest ? `; did you mean "${nearest}"?` : "."}`, {
    remediation: `Known images: ${known.join(", ")}.`,
    details: { name, known },
  });
}

async function describeImage({ manifest, kernel, initramfs, rootfs }: Image): Promise<ImageInfo> {
  const { name, arch, digest, kernelVersion, createdAt, mirror, packages } = manifest;
  return {
    name,
    arch,
    digest,
    kernelVersion,
    createdAt,
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
