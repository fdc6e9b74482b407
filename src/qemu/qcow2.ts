import type { DiskFormat } from "./description.ts";

export interface EmptyOverlay {
  readonly base: string;
  readonly baseFormat: DiskFormat;
  readonly sizeBytes: number;
}

const CLUSTER_BITS = 16;
const CLUSTER_BYTES = 1 << CLUSTER_BITS;
const L1_ENTRY_BYTES = 8;
/** One entry of the first table stands for a cluster full of 8-byte entries, each of which stands for a cluster. */
const BYTES_PER_L1_ENTRY = (CLUSTER_BYTES / 8) * CLUSTER_BYTES;
const HEADER_BYTES = 112;
const BACKING_FORMAT_EXTENSION = 0xe2792aca;
const LONGEST_BACKING_PATH_BYTES = 1023;

/**
 * The bytes of an empty qcow2 disk on a base, version 3 (QEMU's docs/interop/qcow2.txt). Its clusters:
 * the header, the table of reference counts, their first block, then the first table of the mapping, which
 * is all zeroes: nothing is mapped, everything shows through. `qemu-img create` does the same in a process of its own.
 */
export function encodeOverlay(overlay: EmptyOverlay): Buffer {
  const l1Entries = Math.ceil(overlay.sizeBytes / BYTES_PER_L1_ENTRY);
  const l1Clusters = Math.ceil((l1Entries * L1_ENTRY_BYTES) / CLUSTER_BYTES);
  const clusters = 3 + l1Clusters;
  const file = Buffer.alloc(clusters * CLUSTER_BYTES);
  writeHeader(file, overlay, l1Entries);
  file.writeBigUInt64BE(BigInt(2 * CLUSTER_BYTES), CLUSTER_BYTES); // the one block of reference counts
  for (let cluster = 0; cluster < clusters; cluster++) file.writeUInt16BE(1, 2 * CLUSTER_BYTES + 2 * cluster);
  return file;
}

function writeHeader(file: Buffer, { base, baseFormat, sizeBytes }: EmptyOverlay, l1Entries: number): void {
  const backingPath = Buffer.from(base, "utf8");
  if (backingPath.length > LONGEST_BACKING_PATH_BYTES) {
    throw new RangeError(`A path of ${backingPath.length} bytes is too long for a backing file: ${base}`);
  }
  const format = Buffer.from(baseFormat, "latin1");
  const paddedFormat = Math.ceil(format.length / 8) * 8;
  const backingAt = HEADER_BYTES + 8 + paddedFormat + 8; // behind the extension and the mark of the extensions' end
  file.write("QFI\xfb", 0, "latin1");
  file.writeUInt32BE(3, 4);
  file.writeBigUInt64BE(BigInt(backingAt), 8);
  file.writeUInt32BE(backingPath.length, 16);
  file.writeUInt32BE(CLUSTER_BITS, 20);
  file.writeBigUInt64BE(BigInt(sizeBytes), 24);
  file.writeUInt32BE(l1Entries, 36);
  file.writeBigUInt64BE(BigInt(3 * CLUSTER_BYTES), 40); // the first table of the mapping
  file.writeBigUInt64BE(BigInt(CLUSTER_BYTES), 48); // the table of reference counts
  file.writeUInt32BE(1, 56); // … in clusters
  file.writeUInt32BE(4, 96); // a reference count has 2^4 bits
  file.writeUInt32BE(HEADER_BYTES, 100);
  file.writeUInt32BE(BACKING_FORMAT_EXTENSION, HEADER_BYTES);
  file.writeUInt32BE(format.length, HEADER_BYTES + 4);
  format.copy(file, HEADER_BYTES + 8);
  backingPath.copy(file, backingAt);
}

/** The name of the base in a disk's header; null where it has none, or the bytes are not those of such a disk. */
export function parseBackingPath(bytes: Buffer): string | null {
  if (bytes.length < HEADER_BYTES || bytes.toString("latin1", 0, 4) !== "QFI\xfb") return null;
  const at = Number(bytes.readBigUInt64BE(8));
  const length = bytes.readUInt32BE(16);
  if (at === 0 || length === 0 || length > LONGEST_BACKING_PATH_BYTES || at + length > bytes.length)
    return null;
  return bytes.toString("utf8", at, at + length);
}
