import { open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { ImageError } from "../errors.ts";
import { NoFileError } from "../host/no-file.ts";
import { openFile } from "../host/read-file.ts";
import { remedyForHost } from "../host/remedies.ts";
import { codeOf, syncFolder } from "../host/whole-file.ts";
import type { DiskFormat } from "./description.ts";
import { encodeOverlay, parseBackingPath } from "./qcow2.ts";

export interface Overlay {
  /** What shows through where nothing was written. Absolute; never changes from now on. */
  readonly base: string;
  readonly baseFormat: DiskFormat;
  readonly path: string;
  /** What the guest sees; not less than the base has. */
  readonly sizeMib: number;
  /** It outlives a crash of the host from now on. Default false. */
  readonly durable?: boolean;
}

/** Makes an empty copy-on-write disk. An existing file is never touched; a failed one is removed. ImageError. */
export async function createOverlay({
  base,
  baseFormat,
  path,
  sizeMib,
  durable = false,
}: Overlay): Promise<void> {
  const bytes = encodeOverlay({ base, baseFormat, sizeBytes: sizeMib * 1024 * 1024 });
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(bytes);
      if (durable) {
        await file.sync();
        await syncFolder(dirname(path));
      }
    } catch (error) {
      await unlink(path).catch(() => {}); // the first error tells more
      throw error;
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw diskError(path, cause);
  }
}

/** What a disk was made on, by its own word; null where it says nothing. */
export async function readBackingPath(path: string): Promise<string | null> {
  const { file } = await openFile(path).catch(unlessNoFile);
  if (!file) return null;
  try {
    const header = Buffer.alloc(64 * 1024);
    const { bytesRead } = await file.read(header, 0, header.length, 0);
    return parseBackingPath(header.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function unlessNoFile(error: unknown): { readonly file: null } {
  if (error instanceof NoFileError) return { file: null };
  throw error;
}

/** Exported for its table of causes. */
export function diskError(path: string, cause: unknown): ImageError {
  const code = codeOf(cause);
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ImageError(`The disk ${path} can't be made: ${why}.`, {
    cause,
    ...(code !== "" && { remediation: remedyForHost(code) }),
  });
}
