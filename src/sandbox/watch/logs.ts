import { type FileHandle, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { openFile, readEnd } from "../../host/read-file.ts";
import { readAt } from "../../host/whole-file.ts";
import { isBetweenUs } from "../../qemu/console-words.ts";
import { LOG_FILE_BYTES } from "../../state/bounded-log.ts";
import type { LogPaths } from "../../state/paths.ts";
import { checkOptionKeys, parseSignal, refuse } from "../../util/options.ts";
import type { Handle } from "../machine/handle.ts";
import { LineReader } from "./line-reader.ts";
import { askAfter } from "./status-changes.ts";

export interface LogsOptions {
  /** What the guest's console showed (default), or what QEMU itself said. */
  source?: "console" | "qemu";
  /** How many of the last lines; all that are kept by default, 2 MiB at most. */
  tail?: number;
  /** True: goes on with what comes, until the machine is deleted or `signal` is aborted. */
  follow?: boolean;
  signal?: AbortSignal;
}

const LOOK_EVERY_MS = 100;
/** How often it is asked whether the machine is still there, where nobody holds it who would tell. */
const ASK_EVERY_MS = 1_000;

/** The lines of a log without their ends, from the oldest; none of a machine that was never started. */
export async function* readLogs(
  handle: Handle,
  options: LogsOptions = {},
): AsyncGenerator<string, void, void> {
  const { source, tail, follow, signal } = parseOptions(options);
  const paths = handle.paths?.logs[source];
  if (!paths) return;
  const { file, older } = await openLog(paths);
  try {
    const lines = new LineReader((line) => source === "qemu" || !isBetweenUs(line));
    const newer = file ? await readNewest(file) : { bytes: Buffer.alloc(0), at: 0 };
    const all = [...lines.take(older), ...lines.take(newer.bytes)];
    if (!follow) all.push(...lines.end());
    yield* all.slice(tail === null ? 0 : Math.max(0, all.length - tail));
    if (follow) yield* followLog(handle, paths, { file, at: newer.at, lines }, signal);
  } finally {
    await file?.close();
  }
}

/** Of a machine that is being deleted there is no more to be had. */
const ATTEMPTS = 20;

/** Both files as they were at one moment, however often they are exchanged meanwhile. */
async function openLog({ now, older }: LogPaths): Promise<{ file: FileHandle | null; older: Buffer }> {
  for (let attempt = 1; ; attempt++) {
    const file = await openIfThere(now);
    const before = await readEnd(older, LOG_FILE_BYTES).catch(() => Buffer.alloc(0));
    // While they are exchanged there is none that is the newer.
    const found = await stat(now).catch(() => null);
    if ((await file?.stat())?.ino === found?.ino || attempt === ATTEMPTS) return { file, older: before };
    await file?.close();
  }
}

interface Place {
  readonly file: FileHandle | null;
  readonly at: number;
  readonly lines: LineReader;
}

/** A log that is full gives its name to a new one: the rest of the old one is read first. */
async function* followLog(
  handle: Handle,
  paths: LogPaths,
  { lines, ...place }: Place,
  signal: AbortSignal | null,
): AsyncGenerator<string, void, void> {
  let { file, at } = place;
  let askedMs = performance.now();
  const opened: FileHandle[] = [];
  try {
    while (!signal?.aborted) {
      const isOver = handle.status.phase === "deleted";
      const next = await openIfOther(paths.now, file);
      if (next) opened.push(next);
      // Nobody writes to a log any more when another one has its name.
      for (let bytes = await readFrom(file, at); bytes.length > 0; bytes = await readFrom(file, at)) {
        at += bytes.length;
        yield* lines.take(bytes);
      }
      if (next) [file, at] = [next, 0];
      else if (isOver) return yield* lines.end();
      else await sleep(LOOK_EVERY_MS, undefined, signal ? { signal } : {}).catch(() => {});
      if (performance.now() - askedMs < ASK_EVERY_MS) continue;
      askedMs = performance.now();
      askAfter(handle);
    }
  } finally {
    for (const each of opened) await each.close();
  }
}

async function openIfOther(path: string, file: FileHandle | null): Promise<FileHandle | null> {
  const found = await stat(path).catch(() => null);
  if (!found || (file && (await file.stat()).ino === found.ino)) return null;
  return openIfThere(path);
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  return openFile(path).then(
    ({ file }) => file,
    () => null,
  );
}

const CHUNK_BYTES = 64 * 1024;

async function readFrom(file: FileHandle | null, at: number): Promise<Buffer> {
  const buffer = Buffer.alloc(file ? CHUNK_BYTES : 0);
  const { bytesRead } = file ? await file.read(buffer, 0, buffer.length, at) : { bytesRead: 0 };
  return buffer.subarray(0, bytesRead);
}

/** What is in a log by now, and where that ends. No log of ours is longer. */
async function readNewest(file: FileHandle): Promise<{ readonly bytes: Buffer; readonly at: number }> {
  const { size } = await file.stat();
  const from = Math.max(0, size - LOG_FILE_BYTES);
  const bytes = await readAt(file, Buffer.alloc(size - from), from);
  return { bytes, at: from + bytes.length };
}

function parseOptions(options: LogsOptions) {
  checkOptionKeys(options, ["source", "tail", "follow", "signal"], "logs()");
  const { source = "console", tail, follow = false } = options;
  if (source !== "console" && source !== "qemu") throw refuse("source", source, 'one of "console", "qemu"');
  if (tail !== undefined && !(Number.isInteger(tail) && tail >= 0))
    throw refuse("tail", tail, "a whole number, 0 or more");
  if (typeof follow !== "boolean") throw refuse("follow", follow, "true or false");
  return { source, tail: tail ?? null, follow, signal: parseSignal(options.signal) };
}
