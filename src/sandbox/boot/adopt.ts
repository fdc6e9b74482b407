import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { ImageError } from "../../errors.ts";
import { isThere } from "../../host/whole-file.ts";
import { readBackingPath } from "../../qemu/disk.ts";
import { findBase, listLayers } from "../../state/disk-layers.ts";
import {
  type Elsewhere,
  FIRST_GUEST_FORMAT,
  type HeldFiles,
  holdFile,
  lookAt,
} from "../../state/held-files.ts";
import { diskBase, imagePaths, type StatePaths } from "../../state/paths.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { inspectDisk } from "./boot-files.ts";

/**
 * What a machine stands on whose record is of format 1, which names an image and not which one: its disk says on what it was made. Null
 * where nothing depends on it, as the machine has no disk. ImageError where that is gone: on any other one the disk would be destroyed.
 */
export async function adoptFiles(
  { name, source }: MachineSpec,
  state: StatePaths,
  folder: string,
): Promise<HeldFiles | null> {
  const nothing = { image: null, kernel: null, initramfs: null, guestFormat: FIRST_GUEST_FORMAT };
  if (source.kind === "own") {
    const { path, ...disk } = await inspectDisk(source.rootfsPath);
    return { ...nothing, disk: { ...disk, elsewhere: await lookAt(path) } };
  }
  if ((await listLayers(folder)).length === 0) return null;
  const elsewhere = await adoptDisk(state, folder);
  const base = elsewhere?.path ?? diskBase(folder);
  if (!(await isThere(base))) throw gone(name, folder, await baseOf(folder));
  return { ...nothing, disk: { format: "raw", bytes: (await stat(base)).size, elsewhere } };
}

/**
 * Links the image's disk into the folder of a machine whose own disk lies on it, where it is not there yet. Kernel and initramfs are of no
 * use any more. Where there are no links to have it gives the disk's base; null also where there is nothing to be linked.
 */
export async function adoptDisk(state: StatePaths, folder: string): Promise<Elsewhere | null> {
  const base = await findImageDisk(state, folder);
  if (base === null || !(await isThere(base))) return null;
  return holdFile(base, diskBase(folder));
}

/** The image's disk on which that of a folder lies, where the folder has no link to it; null where it lies on none. Nothing is written. */
export async function findImageDisk(state: StatePaths, folder: string): Promise<string | null> {
  const written = await baseOf(folder);
  if (written === null || (await findBase(folder))) return null;
  // The folder's name is the image's digest, wherever the state folder was when the disk was made.
  return imagePaths(state, basename(dirname(written))).rootfs;
}

async function baseOf(folder: string): Promise<string | null> {
  const [lowest] = await listLayers(folder);
  return lowest === undefined ? null : readBackingPath(lowest);
}

function gone(name: string, folder: string, base: string | null): ImageError {
  return new ImageError(
    `The disk of machine "${name}" was made on ${base ?? "a disk that it does not name"}, which is gone: its image was removed.`,
    {
      remediation: `Put that file back, or a copy of it at ${diskBase(folder)}: without it the disk can't be read.`,
      details: { name, base },
    },
  );
}
