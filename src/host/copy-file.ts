import { chmod, constants, copyFile, type FileHandle, open, rm } from "node:fs/promises";
import { throwIfAborted } from "../util/bounded.ts";
import { type OpenLimits, openFile } from "./read-file.ts";
import { codeOf, readAt } from "./whole-file.ts";

export interface CopyFileOptions extends Pick<OpenLimits, "mostBytes"> {
  readonly signal?: AbortSignal | undefined;
}

const MODE = 0o600;
const CHUNK_BYTES = 4 * 1024 * 1024;
const HOLE = Buffer.alloc(CHUNK_BYTES);
const SHARES_BLOCKS = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE;

/**
 * A copy under a name that nobody has, for this user alone. It shares its blocks with the original where the file system can; else what is
 * all zeroes takes no place. Throws NoFileError, OperationAbortedError, what the system says; where it throws there is no copy.
 */
export async function copyWhole(
  from: string,
  to: string,
  { mostBytes, signal }: CopyFileOptions = {},
): Promise<void> {
  const { file, bytes } = await openFile(from, mostBytes === undefined ? {} : { mostBytes });
  try {
    if (await shareBlocks(from, to)) return;
    const copy = await open(to, "wx", MODE);
    try {
      await copyPieces(file, copy, () => throwIfAborted(`Copying ${from}`, signal));
      await copy.truncate(bytes);
    } finally {
      await copy.close();
    }
  } catch (error) {
    // The first error tells more.
    if (codeOf(error) !== "EEXIST") await rm(to, { force: true }).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

/** False where the file system can't. */
async function shareBlocks(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, SHARES_BLOCKS);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw error;
    return false;
  }
  await chmod(to, MODE);
  return true;
}

async function copyPieces(from: FileHandle, to: FileHandle, goOn: () => void): Promise<void> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; ; at += CHUNK_BYTES) {
    goOn();
    const piece = await readAt(from, buffer, at);
    if (!piece.equals(HOLE.subarray(0, piece.length))) await writeAll(to, piece, at);
    if (piece.length < CHUNK_BYTES) return;
  }
}

async function writeAll(to: FileHandle, piece: Buffer, at: number): Promise<void> {
  for (let done = 0; done < piece.length; )
    done += (await to.write(piece, done, piece.length - done, at + done)).bytesWritten;
}
