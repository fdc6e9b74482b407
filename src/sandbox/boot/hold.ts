import { ImageError } from "../../errors.ts";
import { NoFileError } from "../../host/no-file.ts";
import { hostArch } from "../../host/platform.ts";
import { requireFile } from "../../host/read-file.ts";
import { isMissing, isThere } from "../../host/whole-file.ts";
import { findImage, type Image } from "../../image/images.ts";
import {
  type Elsewhere,
  FIRST_GUEST_FORMAT,
  GUEST_FORMAT,
  type HeldFiles,
  holdFile,
  isAsItWas,
  lookAt,
  shareHeld,
} from "../../state/held-files.ts";
import { diskBase, heldInitramfs, heldKernel } from "../../state/paths.ts";
import type { SavedMachine } from "../../state/snapshots.ts";
import { imageBootArgs, startsSsh } from "../machine/boot-args.ts";
import type { BootFiles } from "../machine/boot-setup.ts";
import type { Machine } from "../machine/machine.ts";
import type { ImageSource } from "../machine/spec.ts";
import { adoptFiles } from "./adopt.ts";
import { resolveBootFiles, usesOurInit } from "./boot-files.ts";

type ImageOf = (name: string) => Promise<Image>;

/**
 * What a machine boots from. At its first start that is what its image's name stands for; from then on it is what the machine holds,
 * whatever the name stands for by then: its disk is worth nothing on another one.
 */
export async function bootFilesOf(machine: Machine, imageOf: ImageOf): Promise<BootFiles> {
  const { spec, state, folder, wasBooted } = machine;
  if (folder && wasBooted) machine.held ??= await adoptFiles(spec, state, folder.folder);
  if (!folder || !machine.held) return resolveBootFiles(spec.source, hostArch(), imageOf);
  const { held } = machine;
  const boot = await holdBoot(spec.source, folder.folder, held, () => findAgain(machine, held, imageOf));
  machine.held = { ...held, ...boot };
  return heldFiles(machine, machine.held, folder.folder);
}

/** Takes hold of what a machine is about to start from, in its own folder. Gives the same files as the machine has them. Twice is fine. */
export async function holdBootFiles(machine: Machine, files: BootFiles, folder: string): Promise<BootFiles> {
  if (machine.held) return heldFiles(machine, machine.held, folder);
  const { source } = machine.spec;
  const { image, disk } = files;
  try {
    const isOurs = source.kind === "image";
    const holdDisk = async (path: string) => (isOurs ? holdFile(path, diskBase(folder)) : lookAt(path));
    const boot = await holdBoot(source, folder, NOTHING, async () => files);
    const held = disk && {
      ...{ format: disk.format, bytes: disk.bytes },
      elsewhere: await holdDisk(disk.path),
    };
    machine.held = { image, disk: held, ...boot };
  } catch (error) {
    throw isMissing(error) ? removedMeanwhile(machine, error) : error;
  }
  return heldFiles(machine, machine.held, folder);
}

/** The same for a machine that goes on with a saved one. The layers of its disk are in its folder already. */
export async function holdSaved(machine: Machine, { facts, paths }: SavedMachine, folder: string) {
  await shareHeld(paths.folder, folder);
  const image = facts.image && { ...facts.image, kernelVersion: null };
  machine.held = { image, disk: facts.base, ...NOTHING, guestFormat: facts.guestFormat };
}

type HeldBoot = Pick<HeldFiles, "kernel" | "initramfs" | "guestFormat">;
const NOTHING: HeldBoot = { kernel: null, initramfs: null, guestFormat: FIRST_GUEST_FORMAT };

/**
 * Kernel and initramfs, of which only what is not held yet is taken; both of ours again where the initramfs is talked to in another way. What
 * is the caller's own can't be held, but known again.
 */
async function holdBoot(
  source: ImageSource,
  folder: string,
  held: HeldBoot,
  take: () => Promise<{ readonly kernel: string; readonly initramfs: string | null }>,
): Promise<HeldBoot> {
  const isUsable = held.guestFormat === GUEST_FORMAT;
  let taken: ReturnType<typeof take> | undefined;
  const hold = async (target: string, which: "kernel" | "initramfs") => {
    if (isUsable && (held[which] || (await isThere(target)))) return held[which];
    taken ??= take();
    const path = (await taken)[which];
    return path === null ? null : holdFile(path, target);
  };
  const know = async (path: string | null, which: "kernel" | "initramfs") =>
    held[which] ?? (path === null ? null : await lookAt(path));
  const own = source.kind === "own" ? source : null;
  const isOurInit = own === null || usesOurInit(own);
  return {
    kernel: await (own ? know(own.kernelPath, "kernel") : hold(heldKernel(folder), "kernel")),
    initramfs: await (isOurInit
      ? hold(heldInitramfs(folder), "initramfs")
      : know(own.initrdPath, "initramfs")),
    guestFormat: GUEST_FORMAT,
  };
}

/**
 * Where no links could be made, or an earlier version made the machine, kernel and initramfs are those of the very image where that is
 * still there and can be used, else of the one that has its name now. Its disk stays what it is.
 */
async function findAgain({ state, spec }: Machine, held: HeldFiles, imageOf: ImageOf): Promise<Image> {
  const { image, guestFormat } = held;
  const same = guestFormat === GUEST_FORMAT && image && (await findImage(state, image.name, image.digest));
  return same || imageOf(spec.source.kind === "image" ? spec.source.name : "debian");
}

async function heldFiles(machine: Machine, held: HeldFiles, folder: string): Promise<BootFiles> {
  const { source } = machine.spec;
  const find = async (what: string, elsewhere: Elsewhere | null, own: string): Promise<string> => {
    if (elsewhere) return requireSame(machine, what, elsewhere);
    await requireFile(own).catch((error: Error) => {
      if (!(isMissing(error) || error instanceof NoFileError)) throw error;
      const why = isMissing(error) ? `${own} is missing` : error.message;
      throw lost(machine, what, why, `Put it back; what there is of the machine is in ${folder}`);
    });
    return own;
  };
  const disk = held.disk && {
    format: held.disk.format,
    bytes: held.disk.bytes,
    path: await find("the disk that its own lies on", held.disk.elsewhere, diskBase(folder)),
  };
  const bootArgs = source.kind === "own" ? source.bootArgs : imageBootArgs(hostArch(), disk !== null);
  const hasInit = source.kind === "image" || source.initrdPath !== null || usesOurInit(source);
  return {
    image: held.image,
    kernel: await find("its kernel", held.kernel, heldKernel(folder)),
    initramfs: hasInit ? await find("its initramfs", held.initramfs, heldInitramfs(folder)) : null,
    bootArgs,
    disk,
    startsSsh: startsSsh(bootArgs),
  };
}

async function requireSame(machine: Machine, what: string, elsewhere: Elsewhere): Promise<string> {
  const { path, identity } = elsewhere;
  const [size, time] = identity.split(" ").slice(-2);
  const was = `${size} bytes, written ${new Date(Number(time) / 1e6).toISOString()}`;
  const remedy = `Put back the file that it was, its time included (${was}), or make a new machine.`;
  const isSame = await isAsItWas(elsewhere).catch((error) => {
    throw lost(machine, what, isMissing(error) ? `${path} is gone` : error.message, remedy);
  });
  if (isSame) return path;
  throw lost(machine, what, `${path} was changed or replaced since`, remedy);
}

function lost({ spec }: Machine, what: string, why: string, remediation: string): ImageError {
  return new ImageError(`Machine "${spec.name}" can't start from ${what}: ${why}.`, {
    remediation,
    details: { name: spec.name },
  });
}

function removedMeanwhile({ spec }: Machine, cause: unknown): ImageError {
  return new ImageError(
    `What machine "${spec.name}" starts from was removed while it was being started: ${(cause as Error).message}.`,
    { remediation: "Start it again.", details: { name: spec.name }, cause },
  );
}
