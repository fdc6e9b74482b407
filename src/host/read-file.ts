import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { explainNoFile, NoFileError, noFile } from "./no-file.ts";
import { readAt } from "./whole-file.ts";

/** A record, a manifest, or a cache of ours. All options of a machine take 3 MiB at most, and with each on a line of its own twice that. */
export const MOST_RECORD_BYTES = 16 * 1024 * 1024;
/** What is a line or two: a lock, or a key. */
export const MOST_LINES_BYTES = 1024 * 1024;

/** Neither a fifo nor a terminal keeps the one waiting who opens it so; to a file it makes no difference. */
const AT_ONCE = constants.O_NONBLOCK | constants.O_NOCTTY;
const TO_READ = constants.O_RDONLY | AT_ONCE;
const TO_APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | AT_ONCE;

/** All of a file. NoFileError where it is none, or has more than `mostBytes`; else what the system says, such as ENOENT. */
export async function readWhole(path: string, mostBytes: number): Promise<Buffer> {
  const { file, bytes } = await openFile(path, { mostBytes });
  try {
    return await readAt(file, Buffer.alloc(bytes), 0);
  } finally {
    await file.close();
  }
}

/** The same as text. */
export async function readText(path: string, mostBytes: number): Promise<string> {
  return (await readWhole(path, mostBytes)).toString("utf8");
}

/** The last of a file, `mostBytes` of it. */
export async function readEnd(path: string, mostBytes: number): Promise<Buffer> {
  const { file, bytes } = await openFile(path);
  try {
    return await readAt(file, Buffer.alloc(Math.min(bytes, mostBytes)), Math.max(0, bytes - mostBytes));
  } finally {
    await file.close();
  }
}

export interface OpenedFile {
  readonly file: FileHandle;
  /** What it had as it was opened. */
  readonly bytes: number;
}

export interface OpenLimits {
  readonly mostBytes?: number;
  /** A disk may be one. Default false. */
  readonly orBlockDevice?: boolean;
}

/** For reading; closing it is the caller's. It never waits for another process. NoFileError. */
export async function openFile(
  path: string,
  { mostBytes = Number.POSITIVE_INFINITY, orBlockDevice = false }: OpenLimits = {},
): Promise<OpenedFile> {
  const file = await open(path, TO_READ).catch((error) => {
    throw explainNoFile(path, error);
  });
  try {
    const found = await file.stat();
    if (!found.isFile() && !(orBlockDevice && found.isBlockDevice())) throw noFile(path, found);
    if (found.size > mostBytes) throw tooLarge(path, found.size, mostBytes);
    return { file, bytes: found.size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** For another program that is to read it, which would wait for ever at a fifo. NoFileError; else what the system says. */
export async function requireFile(path: string): Promise<void> {
  const found = await stat(path).catch((error) => {
    throw explainNoFile(path, error);
  });
  if (!found.isFile()) throw noFile(path, found);
}

/** For adding to a file, which is made where there is none; at once. NoFileError. */
export function openToAppend(path: string): number {
  let file: number;
  try {
    file = openSync(path, TO_APPEND, 0o600);
  } catch (error) {
    throw explainNoFile(path, error);
  }
  const found = fstatSync(file);
  if (found.isFile()) return file;
  closeSync(file);
  throw noFile(path, found);
}

function tooLarge(path: string, bytes: number, mostBytes: number): NoFileError {
  return new NoFileError(path, `has ${bytes} bytes, where ${mostBytes} are the most`);
}
