import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import * as v from "valibot";
import { MOST_RECORD_BYTES, openFile, readText } from "../host/read-file.ts";
import { isMissing, readAt, writeWhole } from "../host/whole-file.ts";
import { DamageError } from "./damage.ts";
import { stampsFile } from "./paths.ts";
import { asDamage } from "./read-record.ts";

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const byteCount = v.pipe(v.number(), v.integer(), v.minValue(1));

/** For a file so small that it is read whole whenever it is used. */
export const ContentStampSchema = v.strictObject({ bytes: byteCount, sha256 });
/**
 * For a file that is too large for that: whatever writes to it, cuts it or puts another in its place changes one of these, as
 * nobody can set the time of a change back. So does what changes nothing: a new mode or owner, a backup that is put back, a move
 * to another disk. Then its content is read, holes left out, and decides.
 */
export const FileStampSchema = v.strictObject({
  bytes: byteCount,
  inode: v.string(),
  modifiedNs: v.string(),
  changedNs: v.string(),
  sha256,
});

/** For a file of which others have links: making one changes the time of its last change. Small ones are read whole. */
export const LayerStampSchema = v.strictObject({
  bytes: byteCount,
  inode: v.string(),
  modifiedNs: v.string(),
  sha256,
});

export type ContentStamp = v.InferOutput<typeof ContentStampSchema>;
export type FileStamp = v.InferOutput<typeof FileStampSchema>;
export type LayerStamp = v.InferOutput<typeof LayerStampSchema>;

const CHUNK_BYTES = 4 * 1024 * 1024;
/** 16 MiB take some 30 ms. */
const LARGEST_READ_BYTES = 16 * 1024 * 1024;
const HOLE = Buffer.alloc(CHUNK_BYTES);

/** Devices and processors take less than 1 MiB; the guest's memory is a file of its own. */
export const MOST_STATE_BYTES = 256 * 1024 * 1024;

/** DamageError where the content is not the one that was stamped. It has to be all there is. */
export function requireContent(name: string, content: Uint8Array, stamp: ContentStamp): void {
  if (content.length !== stamp.bytes)
    throw new DamageError(`its ${name} has ${content.length} bytes instead of ${stamp.bytes}`);
  if (stampContent(content).sha256 !== stamp.sha256)
    throw new DamageError(`the content of its ${name} has changed`);
}

export function stampContent(content: Uint8Array): ContentStamp {
  return { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}

/** Of a file that is finished and will not be written to any more. */
export async function stampFile(path: string, signal?: AbortSignal): Promise<FileStamp> {
  const sha256 = await digestWithoutHoles(path, signal);
  return { ...identityOf(await stat(path, { bigint: true })), sha256 };
}

/** DamageError where the content is not what was stamped. It is only read where the file is not the very one, or was touched since. */
export async function requireUnchanged(path: string, stamp: FileStamp, signal?: AbortSignal): Promise<void> {
  const found = await identify(path, stamp);
  const isSame = (known: FileIdentity) => isSameFile(found, known) && found.changedNs === known.changedNs;
  if (!isSame(stamp)) await requireSameContent(path, stamp, { found, isSame, signal });
}

/** Of a frozen layer of a disk. */
export async function stampLayer(path: string, signal?: AbortSignal): Promise<LayerStamp> {
  const { changedNs: _, ...stamp } = await stampFile(path, signal);
  return stamp;
}

/** The same for a frozen layer; a small one is read each time. */
export async function requireSameLayer(path: string, stamp: LayerStamp, signal?: AbortSignal): Promise<void> {
  const found = await identify(path, stamp);
  if (stamp.bytes <= LARGEST_READ_BYTES) return requireSameDigest(path, stamp, signal);
  const isSame = (known: Omit<FileIdentity, "changedNs">) => isSameFile(found, known);
  if (!isSame(stamp)) await requireSameContent(path, stamp, { found, isSame, signal });
}

/** Reads the whole file: for a thorough check. */
export async function requireSameDigest(
  path: string,
  stamp: ContentStamp,
  signal?: AbortSignal,
): Promise<void> {
  if ((await digestWithoutHoles(path, signal)) !== stamp.sha256)
    throw new DamageError(`the content of its ${basename(path)} has changed`);
}

interface Look {
  readonly found: FileIdentity;
  readonly isSame: (known: FileIdentity) => boolean;
  readonly signal: AbortSignal | undefined;
}

/** Once it is known to be right, how it looks now is kept, so that it is not read again each time. */
async function requireSameContent(
  path: string,
  { sha256 }: ContentStamp,
  { found, isSame, signal }: Look,
): Promise<void> {
  const known = (await readStamps(path))[basename(path)];
  if (known?.sha256 === sha256 && isSame(known)) return;
  if ((await digestWithoutHoles(path, signal)) !== sha256)
    throw new DamageError(`its ${basename(path)} was changed or replaced`);
  await keepStamp(path, { ...found, sha256 }).catch(() => {}); // without it the next one takes its time again, nothing else
}

const StampsSchema = v.record(v.string(), FileStampSchema);

/**
 * How files of that folder have come to look since their record was written, by their names. The record itself is never written again:
 * another one may have its place by then. What is said here counts for a content only.
 */
async function readStamps(path: string): Promise<v.InferOutput<typeof StampsSchema>> {
  try {
    return v.parse(StampsSchema, JSON.parse(await readText(stampsFile(dirname(path)), MOST_RECORD_BYTES)));
  } catch {
    return {};
  }
}

async function keepStamp(path: string, stamp: FileStamp): Promise<void> {
  const stamps = { ...(await readStamps(path)), [basename(path)]: stamp };
  await writeWhole(stampsFile(dirname(path)), JSON.stringify(stamps), { durable: false });
}

type FileIdentity = Omit<FileStamp, "sha256">;

/** DamageError where the file is missing, or longer or shorter than it was. */
async function identify(path: string, { bytes }: ContentStamp): Promise<FileIdentity> {
  const name = basename(path);
  const found = await stat(path, { bigint: true }).catch((error: unknown) => {
    throw isMissing(error) ? new DamageError(`its ${name} is missing`) : error;
  });
  const now = identityOf(found);
  if (now.bytes !== bytes) throw new DamageError(`its ${name} has ${now.bytes} bytes instead of ${bytes}`);
  return now;
}

type Placed = Pick<FileIdentity, "inode" | "modifiedNs">;

function isSameFile(one: Placed, other: Placed): boolean {
  return one.inode === other.inode && one.modifiedNs === other.modifiedNs;
}

function identityOf({ size, ino, mtimeNs, ctimeNs }: BigIntStats): FileIdentity {
  return { bytes: Number(size), inode: `${ino}`, modifiedNs: `${mtimeNs}`, changedNs: `${ctimeNs}` };
}

/** Over each piece that is not all zeroes and its place; the length is in the stamp. */
async function digestWithoutHoles(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(CHUNK_BYTES);
  const { file } = await openFile(path).catch((error) => {
    throw asDamage(basename(path), error);
  });
  try {
    for (let at = 0; ; at += CHUNK_BYTES) {
      signal?.throwIfAborted();
      const piece = await readAt(file, buffer, at);
      if (!piece.equals(HOLE.subarray(0, piece.length))) hash.update(`${at}:${piece.length}:`).update(piece);
      if (piece.length < CHUNK_BYTES) return hash.digest("hex");
    }
  } finally {
    await file.close();
  }
}
