import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import * as v from "valibot";

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const byteCount = v.pipe(v.number(), v.integer(), v.minValue(1));

/** For a file so small that it is read whole whenever it is used. */
export const ContentStampSchema = v.strictObject({ bytes: byteCount, sha256 });
/**
 * For a file that is too large for that: whatever writes to it, cuts it or puts another in its place changes one of these, as
 * nobody can set the time of a change back. Its content is only read for a thorough check; holes don't count.
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

/** Throws where the content is not the one that was stamped. */
export function requireContent(name: string, content: Uint8Array, stamp: ContentStamp): void {
  if (content.length !== stamp.bytes)
    throw new Error(`its ${name} has ${content.length} bytes instead of ${stamp.bytes}`);
  if (stampContent(content).sha256 !== stamp.sha256)
    throw new Error(`the content of its ${name} has changed`);
}

export function stampContent(content: Uint8Array): ContentStamp {
  return { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}

/** Of a file that is finished and will not be written to any more. */
export async function stampFile(path: string): Promise<FileStamp> {
  const sha256 = await digestWithoutHoles(path);
  return { ...identityOf(await stat(path, { bigint: true })), sha256 };
}

/** Throws where the file is not the very one that was stamped, or was touched since. Its content is not read. */
export async function requireUntouched(path: string, stamp: FileStamp): Promise<void> {
  const name = basename(path);
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (!found) throw new Error(`its ${name} is missing`);
  const now = identityOf(found);
  if (now.bytes !== stamp.bytes)
    throw new Error(`its ${name} has ${now.bytes} bytes instead of ${stamp.bytes}`);
  const isSame =
    now.inode === stamp.inode && now.modifiedNs === stamp.modifiedNs && now.changedNs === stamp.changedNs;
  if (!isSame) throw new Error(`its ${name} was changed or replaced`);
}

/** Of a frozen layer of a disk. */
export async function stampLayer(path: string): Promise<LayerStamp> {
  const { changedNs: _, ...stamp } = await stampFile(path);
  return stamp;
}

/** Throws where it is not the very file that was stamped, or its content is another, as far as that can be told in no time. */
export async function requireSameLayer(path: string, stamp: LayerStamp): Promise<void> {
  const name = basename(path);
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (!found) throw new Error(`its ${name} is missing`);
  const now = identityOf(found);
  if (now.bytes !== stamp.bytes)
    throw new Error(`its ${name} has ${now.bytes} bytes instead of ${stamp.bytes}`);
  if (now.inode !== stamp.inode || now.modifiedNs !== stamp.modifiedNs)
    throw new Error(`its ${name} was changed or replaced`);
  if (stamp.bytes <= LARGEST_READ_BYTES) await requireSameDigest(path, stamp);
}

/** Reads the whole file: for a thorough check. */
export async function requireSameDigest(path: string, stamp: ContentStamp): Promise<void> {
  if ((await digestWithoutHoles(path)) !== stamp.sha256)
    throw new Error(`the content of its ${basename(path)} has changed`);
}

function identityOf({ size, ino, mtimeNs, ctimeNs }: BigIntStats): Omit<FileStamp, "sha256"> {
  return { bytes: Number(size), inode: `${ino}`, modifiedNs: `${mtimeNs}`, changedNs: `${ctimeNs}` };
}

/** Over each piece that is not all zeroes and its place; the length is in the stamp. */
async function digestWithoutHoles(path: string): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(CHUNK_BYTES);
  const file = await open(path, "r");
  try {
    for (let at = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at);
      if (bytesRead === 0) return hash.digest("hex");
      const piece = buffer.subarray(0, bytesRead);
      if (!piece.equals(HOLE.subarray(0, bytesRead))) hash.update(`${at}:${bytesRead}:`).update(piece);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}
