import { link, rm, stat } from "node:fs/promises";
import { basename } from "node:path";
import * as v from "valibot";
import { isThere } from "../host/whole-file.ts";
import { linkFile } from "./disk-layers.ts";
import { diskBase, heldInitramfs, heldKernel } from "./paths.ts";

/** A file that no folder of ours has a link to, and how it looked: its size and the time at which it was written. */
const ElsewhereSchema = v.strictObject({ path: v.string(), identity: v.string() });

/**
 * To be raised when what the host says to our part of a guest, or needs to find there, changes: the accounts of its SSH server, the way in
 * for a command, the words on its console and ports. Nothing of another format is started.
 */
export const GUEST_FORMAT = 2;
/** No record said so yet. */
export const FIRST_GUEST_FORMAT = 1;
export const GuestFormatSchema = v.pipe(v.number(), v.integer());

/** What the lowest layer of a disk lies on. */
export const HeldDiskSchema = v.strictObject({
  format: v.picklist(["raw", "qcow2"]),
  bytes: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** Where no link to it could be made, or it is the caller's own. Null: it lies beside the layers. */
  elsewhere: v.nullable(ElsewhereSchema),
});

/**
 * What a machine boots from, kept for as long as the machine: the image of its name may be another one by then, or gone. Links in its
 * own folder, or what tells whether a file elsewhere is still the same.
 */
export const HeldFilesSchema = v.strictObject({
  /** Null: the caller's own kernel and disk. */
  image: v.nullable(
    v.strictObject({ name: v.string(), digest: v.string(), kernelVersion: v.nullable(v.string()) }),
  ),
  /** Null: no disk. */
  disk: v.nullable(HeldDiskSchema),
  /** Null: in the folder. */
  kernel: v.nullable(ElsewhereSchema),
  /** Null: in the folder, or there is none. */
  initramfs: v.nullable(ElsewhereSchema),
  /** How the initramfs, where it is ours, is talked to. */
  guestFormat: GuestFormatSchema,
});

export type Elsewhere = Readonly<v.InferOutput<typeof ElsewhereSchema>>;
export type HeldFiles = Readonly<v.InferOutput<typeof HeldFilesSchema>>;

/** Takes a link of one's own to a file that never changes. Null where there is one; else how it is known. */
export async function holdFile(path: string, target: string): Promise<Elsewhere | null> {
  await rm(target, { force: true });
  return (await linkFile(path, target)) ? null : lookAt(path);
}

/** How a file looks that is not ours to keep. */
export async function lookAt(path: string): Promise<Elsewhere> {
  return { path, identity: await identityOf(path) };
}

/** False where another file has its place, or it was written to. A copy that kept the time is as good. Throws where it can't be looked at. */
export async function isAsItWas({ path, identity }: Elsewhere): Promise<boolean> {
  const [size, time = "0"] = identity.split(" ").slice(-2);
  const [sizeNow, timeNow = "0"] = (await identityOf(path)).split(" ");
  return size === sizeNow && isSameTime(BigInt(time), BigInt(timeNow));
}

const SECOND_NS = 1_000_000_000n;
const ROUNDING_NS = 1_000_000n;

/** Not every way of copying keeps all parts of a second, or any. */
function isSameTime(one: bigint, other: bigint): boolean {
  const [earlier, later] = one < other ? [one, other] : [other, one];
  return later - earlier < (earlier % SECOND_NS === 0n ? SECOND_NS : ROUNDING_NS);
}

async function identityOf(path: string): Promise<string> {
  const { size, mtimeNs } = await stat(path, { bigint: true });
  return `${size} ${mtimeNs}`;
}

/** Gives a folder what another one holds and it does not yet: the copy of a machine boots from the same as its source. */
export async function shareHeld(from: string, to: string): Promise<void> {
  for (const fileIn of [diskBase, heldKernel, heldInitramfs])
    if ((await isThere(fileIn(from))) && !(await isThere(fileIn(to)))) await link(fileIn(from), fileIn(to));
}

/** Whether that file of a machine's folder is there for its image's sake too. */
export function isHeldName(path: string): boolean {
  return [diskBase, heldKernel, heldInitramfs].some((fileIn) => basename(fileIn("/")) === basename(path));
}
