import type { FileHandle } from "node:fs/promises";
import { open, readFile, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { LogPaths } from "../state/paths.ts";
import { checkOptionKeys, refuse } from "../util/options.ts";
import type { Handle } from "./handle.ts";
import { parseSignal } from "./run-options.ts";

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

/** The lines of a log without their ends, from the oldest; none of a machine that was never started. */
export async function* readLogs(
  handle: Handle,
  options: LogsOptions = {},
): AsyncGenerator<string, void, void> {
  const { source, tail, follow, signal } = parseOptions(options);
  const paths = handle.paths?.logs[source];
  if (!paths) return;
  const file = await open(paths.now, "r").catch(() => null);
  try {
    const older = await readFile(paths.older, "utf8").catch(() => "");
    const newer = file ? await readWhole(file) : Buffer.alloc(0);
    const { lines, rest } = splitLines(older + newer.toString("utf8"));
    const all = rest === "" || follow ? lines : [...lines, rest];
    yield* all.slice(tail === null ? 0 : Math.max(0, all.length - tail)).map(clean);
    if (follow) yield* followLog(handle, paths, { file, at: newer.length, rest }, signal);
  } finally {
    await file?.close();
  }
}

interface Place {
  readonly file: FileHandle | null;
  readonly at: number;
  readonly rest: string;
}

/** A log that is full gives its name to a new one: the rest of the old one is read first. */
async function* followLog(
  handle: Handle,
  paths: LogPaths,
  place: Place,
  signal: AbortSignal | null,
): AsyncGenerator<string, void, void> {
  let { file, at, rest } = place;
  const opened: FileHandle[] = [];
  const decoder = new TextDecoder();
  try {
    while (!signal?.aborted) {
      const isOver = handle.status.phase === "deleted";
      const bytes = file ? await readFrom(file, at) : Buffer.alloc(0);
      at += bytes.length;
      const split = splitLines(rest + decoder.decode(bytes, { stream: true }));
      rest = split.rest;
      yield* split.lines.map(clean);
      if (bytes.length > 0) continue;
      if (isOver) return;
      const next = await openIfOther(paths.now, file);
      if (next) {
        opened.push(next);
        [file, at] = [next, 0];
      } else await sleep(LOOK_EVERY_MS, undefined, signal ? { signal } : {}).catch(() => {});
    }
  } finally {
    for (const each of opened) await each.close();
  }
}

async function openIfOther(path: string, file: FileHandle | null): Promise<FileHandle | null> {
  const found = await stat(path).catch(() => null);
  if (!found || (file && (await file.stat()).ino === found.ino)) return null;
  return open(path, "r").catch(() => null);
}

const CHUNK_BYTES = 64 * 1024;

async function readFrom(file: FileHandle, at: number): Promise<Buffer> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
  return buffer.subarray(0, bytesRead);
}

async function readWhole(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  const buffer = Buffer.alloc(size);
  const { bytesRead } = await file.read(buffer, 0, size, 0);
  return buffer.subarray(0, bytesRead);
}

function splitLines(text: string): { readonly lines: string[]; readonly rest: string } {
  const lines = text.split("\n");
  return { rest: lines.pop() ?? "", lines };
}

/** A console ends its lines with a carriage return too. */
function clean(line: string): string {
  return line.replace(/\r+$/, "");
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
