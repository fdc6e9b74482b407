import { gunzipSync } from "node:zlib";
import { ImageError } from "../errors.ts";
import type { Architecture } from "../util/architecture.ts";
import { unxz, unzstd } from "./compression.ts";

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
const XZ = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const MAX_KERNEL_BYTES = 512 * 1024 * 1024;
const ELF = [0x7f, 0x45, 0x4c, 0x46];

/**
 * The kernel as QEMU boots it quickest: for x86_64 the ELF `vmlinux` (started by PVH, nothing to decompress in
 * the guest), for aarch64 the plain `Image`.
 */
export async function extractKernel(vmlinuz: Buffer, arch: Architecture): Promise<Buffer> {
  if (arch === "x86_64")
    return startsWith(vmlinuz, ELF) ? vmlinuz : await decompressed(bzImagePayload(vmlinuz), ELF, 0);
  const image = isEfiZboot(vmlinuz)
    ? await decompressed(zbootPayload(vmlinuz), ARM64_MAGIC, ARM64_MAGIC_AT)
    : vmlinuz;
  if (!startsWith(image.subarray(ARM64_MAGIC_AT), ARM64_MAGIC)) throw unknownKernel("it is no arm64 Image");
  return image;
}

const BOOT_FLAG_AT = 0x1fe;
const HEADER_MAGIC_AT = 0x202;
const SETUP_SECTORS_AT = 0x1f1;
const PAYLOAD_OFFSET_AT = 0x248;
const PAYLOAD_LENGTH_AT = 0x24c;

function bzImagePayload(image: Buffer): Buffer {
  if (image.length < 0x250 || image.readUInt16LE(BOOT_FLAG_AT) !== 0xaa55)
    throw unknownKernel("it is no bzImage");
  if (image.toString("latin1", HEADER_MAGIC_AT, HEADER_MAGIC_AT + 4) !== "HdrS")
    throw unknownKernel("it has no setup header");
  const setupSectors = image.readUInt8(SETUP_SECTORS_AT) || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(PAYLOAD_OFFSET_AT);
  return slice(image, start, image.readUInt32LE(PAYLOAD_LENGTH_AT));
}

const ARM64_MAGIC = [0x41, 0x52, 0x4d, 0x64];
const ARM64_MAGIC_AT = 56;

function isEfiZboot(image: Buffer): boolean {
  return (
    image.length > 64 && image.toString("latin1", 0, 2) === "MZ" && image.toString("latin1", 4, 8) === "zimg"
  );
}

function zbootPayload(image: Buffer): Buffer {
  return slice(image, image.readUInt32LE(8), image.readUInt32LE(12));
}

function slice(image: Buffer, start: number, length: number): Buffer {
  if (length === 0 || start + length > image.length) throw unknownKernel("it is cut short");
  return image.subarray(start, start + length);
}

async function decompressed(payload: Buffer, magic: readonly number[], magicAt: number): Promise<Buffer> {
  const image = await decompress(payload).catch((cause: unknown) => {
    throw unknownKernel("its payload doesn't decompress", cause);
  });
  if (!startsWith(image.subarray(magicAt), magic)) throw unknownKernel("its payload is no kernel");
  return image;
}

async function decompress(payload: Buffer): Promise<Buffer> {
  if (startsWith(payload, ZSTD)) return await unzstdKernel(payload);
  if (startsWith(payload, GZIP)) return gunzipSync(payload);
  if (startsWith(payload, XZ)) return await unxz(payload);
  throw unknownKernel("its payload is compressed in an unknown way");
}

/** The kernel's build appends the unpacked size, four bytes which are not part of the zstd frame. */
async function unzstdKernel(payload: Buffer): Promise<Buffer> {
  const end = payload.length - 4;
  const unpackedBytes = payload.readUInt32LE(end);
  if (unpackedBytes > MAX_KERNEL_BYTES) throw unknownKernel(`it says it is ${unpackedBytes} bytes large`);
  return await unzstd(payload.subarray(0, end), unpackedBytes);
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}

function unknownKernel(why: string, cause?: unknown): ImageError {
  return new ImageError(`The kernel image can't be unpacked: ${why}.`, { cause });
}
