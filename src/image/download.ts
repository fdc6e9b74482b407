import { createHash, randomUUID } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ImageError } from "../errors.ts";
import { makeFolders } from "../host/make-folders.ts";
import { NoFileError } from "../host/no-file.ts";
import { readWhole, requireFile } from "../host/read-file.ts";
import { remedyForHost } from "../host/remedies.ts";
import { codeOf } from "../host/whole-file.ts";
import { throwIfAborted } from "../util/bounded.ts";
import { fetchBody, withRetries } from "./http.ts";

/** A file that is known by its content before it is fetched. */
export interface Download {
  readonly url: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface DownloadOptions {
  /** Where finished files are kept, named by their SHA-256. */
  readonly folder: string;
  /** Called with how many more bytes are there. */
  readonly onBytes?: (count: number) => void;
  readonly signal?: AbortSignal | undefined;
  readonly stallTimeoutMs?: number;
}

/**
 * The content of a file, from the cache if it is there. Only what has the right size and hash gets the name under
 * which it is looked for; what came before a break is kept aside and continued from.
 */
export async function download(file: Download, options: DownloadOptions): Promise<Buffer> {
  throwIfAborted(`The download of ${file.url}`, options.signal);
  const kept = join(options.folder, file.sha256);
  let noFile = false; // over a folder no file can be put
  const cached = await readWhole(kept, file.sizeBytes).catch((error) => {
    noFile = error instanceof NoFileError;
  });
  if (cached && isRight(cached, file)) {
    options.onBytes?.(file.sizeBytes);
    return cached;
  }
  await makeFolders(options.folder);
  // While we write, the part has a name of our own: two processes never write to one file.
  const part = `${kept}.${process.pid}-${randomUUID().slice(0, 8)}.part`;
  await rename(`${kept}.part`, part).catch(() => {});
  await requireFile(part).catch(async (error) => {
    if (error instanceof NoFileError) await rm(part, { recursive: true }); // nothing can be added to it
  });
  try {
    const content = await fetchRight(part, file, options);
    if (noFile) await rm(kept, { recursive: true, force: true });
    await rename(part, kept);
    return content;
  } catch (error) {
    // One name for what is left over, so that no number of failures fills the disk.
    await rename(part, `${kept}.part`).catch(() => {});
    throw error;
  }
}

/** Makes parts that dead processes left be continued by the next who wants the file. */
export async function rescueParts(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, kept, pid] = /^([0-9a-f]{64})\.(\d+)-\w+\.part$/.exec(name) ?? [];
    if (kept === undefined || isRunning(Number(pid))) continue;
    await rename(join(folder, name), join(folder, `${kept}.part`)).catch(() => {});
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A wrong content may come from the older part it was continued from: then it is fetched once more, whole. */
async function fetchRight(part: string, file: Download, options: DownloadOptions): Promise<Buffer> {
  const continued = (await sizeOf(part)) > 0;
  const content = await fetchInto(part, file, options);
  if (content && isRight(content, file)) return content;
  await rm(part, { force: true });
  if (!continued) throw refused(file, "its SHA-256 is not the one in the archive's index");
  options.onBytes?.(-file.sizeBytes);
  return await fetchRight(part, file, options);
}

/** Undefined: more is there than there should be. */
async function fetchInto(
  part: string,
  file: Download,
  options: DownloadOptions,
): Promise<Buffer | undefined> {
  const there = await sizeOf(part);
  if (there > 0) options.onBytes?.(there);
  await withRetries(file.url, options.signal, () => appendTo(part, file, options));
  return await readWhole(part, file.sizeBytes).catch((error) => {
    if (!(error instanceof NoFileError)) throw error;
    return undefined;
  });
}

async function appendTo(part: string, file: Download, options: DownloadOptions): Promise<void> {
  const handle = await open(part, "a", 0o600);
  try {
    let length = (await handle.stat()).size;
    if (length >= file.sizeBytes) return;
    for await (const bytes of fetchBody(file.url, { ...options, startByte: length })) {
      length += bytes.length;
      if (length > file.sizeBytes) throw refused(file, "it is longer than the archive's index says");
      await handle.appendFile(bytes).catch((error: Error) => {
        throw new ImageError(`${file.url} can't be kept in ${options.folder}: ${error.message}.`, {
          cause: error,
          remediation: remedyForHost(codeOf(error)),
        });
      });
      options.onBytes?.(bytes.length);
    }
    if (length < file.sizeBytes) throw new Error(`it ended after ${length} of ${file.sizeBytes} bytes`);
  } finally {
    await handle.close();
  }
}

function isRight(content: Buffer, file: Download): boolean {
  return (
    content.length === file.sizeBytes && createHash("sha256").update(content).digest("hex") === file.sha256
  );
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

function refused(file: Download, why: string): ImageError {
  return new ImageError(`${file.url} is refused: ${why}.`, { details: { ...file } });
}
