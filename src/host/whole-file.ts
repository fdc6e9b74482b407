import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolders } from "./make-folders.ts";
import { explainNoFile } from "./no-file.ts";

export interface WholeFileOptions {
  /** 0o600 by default. */
  readonly mode?: number;
  /** True: it outlives a crash of the host, its name too. That takes the disk's time. */
  readonly durable: boolean;
}

/**
 * Puts a file in its place at once and whole: a reader finds the old content or the new. Its folder has to be there. Where it throws
 * the old one is there, but for one case: the host did not take the name of a durable one. Then the new content is in place.
 */
export async function writeWhole(
  path: string,
  content: string | Uint8Array,
  { mode = 0o600, durable }: WholeFileOptions,
): Promise<void> {
  // A name for each write: one process may write the same file twice at once.
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(draft, "wx", mode);
    try {
      await file.writeFile(content);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {}); // the first error tells more
    throw explainNoFile(path, error);
  }
  if (durable) await syncFolder(dirname(path));
}

/** The same for what is only kept to save time; its folder is made where it is missing. */
export async function writeCache(path: string, content: string): Promise<void> {
  await makeFolders(dirname(path));
  await writeWhole(path, content, { durable: false });
}

/** What was written to it is on the host's disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}

/** For a folder: anything else at its path is ENOTDIR. */
export const FOLDER_TO_READ = constants.O_RDONLY | constants.O_DIRECTORY;

/** The names in it are on the host's disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, FOLDER_TO_READ);
  await folder
    .sync()
    .catch((error: unknown) => {
      if (!NO_FOLDER_SYNC.has(codeOf(error))) throw error;
    })
    .finally(() => folder.close());
}

/** Some file systems keep names by themselves and don't know the request. */
const NO_FOLDER_SYNC: ReadonlySet<string> = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "EISDIR", "EBADF"]);

/** Whether something has that name: also a link that leads nowhere, or to itself. Throws where that can't be told. */
export async function isNamed(path: string): Promise<boolean> {
  return (await lstat(path).catch(unlessMissing)) !== undefined;
}

/** False only where it is known not to be there: a host that can't tell at the moment throws. */
export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false;
      throw error;
    },
  );
}

/** Whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error));
}

/** For `catch`: nothing where there is no such file. */
export function unlessMissing(error: unknown): undefined {
  if (isMissing(error)) return undefined;
  throw error;
}

/** All that is in an open file, by place: where others read on stays as it is. Not more than `mostBytes`. */
export async function readFromStart(file: FileHandle, mostBytes: number): Promise<Buffer> {
  return readAt(file, Buffer.alloc(mostBytes), 0);
}

/** What is there from a place on: as much as the buffer holds, less only at the end of the file, however little comes at once. */
export async function readAt(file: FileHandle, buffer: Buffer, at: number): Promise<Buffer> {
  for (let length = 0; ; ) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, at + length);
    length += bytesRead;
    if (bytesRead === 0 || length === buffer.length) return buffer.subarray(0, length);
  }
}

/** The system's word for what went wrong: "ENOENT"; "" where an error is not the system's. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
