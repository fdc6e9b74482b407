/** One member of a cpio archive in the "newc" form, which is what Linux unpacks as an initramfs. */
export interface CpioEntry {
  /** Without a leading slash. Folders come before what is in them. */
  readonly path: string;
  /** Permissions and the type bits: 0o100755, 0o040755, 0o120777, 0o020600 … */
  readonly mode: number;
  readonly data?: Uint8Array;
  /** What a symbolic link points to. */
  readonly linkTarget?: string;
  readonly device?: { readonly major: number; readonly minor: number };
}

const MAGIC = "070701";
const TRAILER = "TRAILER!!!";
/** The kernel takes a second archive right after the first; QEMU and the kernel align to 512 at most. */
const ARCHIVE_ALIGNMENT = 512;
const FOLDER_TYPE = 0o040000;
const TYPE_MASK = 0o170000;

/** A whole archive, padded so that another one can be appended. Everything belongs to root; no times are kept, so equal entries give equal bytes. */
export function encodeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  const push = (bytes: Buffer) => {
    parts.push(bytes);
    length += bytes.length;
  };
  entries.forEach((entry, index) => {
    for (const part of encodeEntry(entry, index + 1)) push(part);
  });
  for (const part of encodeEntry({ path: TRAILER, mode: 0 }, 0)) push(part);
  push(Buffer.alloc(-length & (ARCHIVE_ALIGNMENT - 1)));
  return Buffer.concat(parts, length);
}

function encodeEntry(entry: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${checkedPath(entry.path)}\0`);
  const body = entryBody(entry);
  const fields = [
    inode,
    entry.mode,
    0, // uid
    0, // gid
    (entry.mode & TYPE_MASK) === FOLDER_TYPE ? 2 : 1, // links
    0, // mtime
    body.length,
    0, // the device that holds the file
    0,
    entry.device?.major ?? 0,
    entry.device?.minor ?? 0,
    name.length,
    0, // checksum, unused in this form
  ];
  const header = Buffer.from(MAGIC + fields.map(hex8).join(""), "latin1");
  return [header, name, padding(header.length + name.length), body, padding(body.length)];
}

function entryBody(entry: CpioEntry): Buffer {
  if (entry.linkTarget !== undefined) return Buffer.from(entry.linkTarget);
  const data = entry.data ?? new Uint8Array(0);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

function checkedPath(path: string): string {
  if (path === "" || path.startsWith("/") || path.includes("\0") || path.split("/").includes("..")) {
    throw new RangeError(`A cpio member can't be called ${JSON.stringify(path)}.`);
  }
  return path;
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function padding(length: number): Buffer {
  return Buffer.alloc(-length & 3);
}
