import { open, unlink } from "node:fs/promises";
import { ImageError } from "../errors.ts";
import type { DiskFormat } from "./description.ts";
import { encodeOverlay } from "./qcow2.ts";

export interface Overlay {
  /** What shows through where nothing was written. Absolute; never changes from now on. */
  readonly base: string;
  readonly baseFormat: DiskFormat;
  readonly path: string;
  /** What the guest sees; not less than the base has. */
  readonly sizeMib: number;
}

/** Makes an empty copy-on-write disk. An existing file is never touched; a failed one is removed. ImageError. */
export async function createOverlay({ base, baseFormat, path, sizeMib }: Overlay): Promise<void> {
  const bytes = encodeOverlay({ base, baseFormat, sizeBytes: sizeMib * 1024 * 1024 });
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(bytes);
    } catch (error) {
      await unlink(path);
      throw error;
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw diskError(path, cause);
  }
}

/** Exported for its table of causes. */
export function diskError(path: string, cause: unknown): ImageError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const why = cause instanceof Error ? cause.message : String(cause);
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new ImageError(`The disk ${path} can't be made: ${why}.`, {
    cause,
    ...(full
      ? { remediation: "Free some space on the file system of the state folder, or move it: SMOLVM_HOME." }
      : {}),
  });
}
