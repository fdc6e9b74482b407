import { type ChildProcess, spawn } from "node:child_process";
import { HostError, OperationAbortedError, OperationTimeoutError } from "../errors.ts";
import { watchAbort } from "../util/watch-abort.ts";
import { exitInfo } from "./exit-info.ts";
import { missingTool } from "./find-tool.ts";

export interface RunToolOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default 60 s; the process gets SIGKILL then. */
  readonly timeoutMs?: number;
  /** What it reads from stdin, which is empty otherwise. */
  readonly input?: string | Uint8Array;
  /** The whole environment; default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface ToolResult {
  /** 128 + n where signal n ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Runs a program of the host to its end. An exit code other than 0 is a result, not an error.
 * Throws HostError (not found, can't be started), OperationTimeoutError, OperationAbortedError.
 */
export async function runTool(
  file: string,
  args: readonly string[],
  options: RunToolOptions = {},
): Promise<ToolResult> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  if (options.signal?.aborted) throw aborted(file, { stdout: "", stderr: "" }, options.signal);
  const child = spawn(file, args, { stdio: "pipe", env: options.env ?? process.env });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on("error", () => {}); // it may well end without having read everything
  child.stdin.end(options.input ?? "");

  const limit = limitLife(child, timeoutMs, options.signal);
  try {
    const exitCode = await ended(child);
    const printed = { stdout: stdout(), stderr: stderr() };
    if (limit.broken() === "timeout") throw new OperationTimeoutError(file, timeoutMs / 1000, printed);
    if (limit.broken() === "abort") throw aborted(file, printed, options.signal);
    return { exitCode, ...printed };
  } catch (error) {
    throw isNotFound(error) ? await missingTool(file) : error;
  } finally {
    limit.lift();
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes < MAX_OUTPUT_BYTES) chunks.push(chunk);
    bytes += chunk.length;
  });
  stream.on("error", () => {});
  return () => Buffer.concat(chunks).toString("utf8");
}

function limitLife(child: ChildProcess, timeoutMs: number, signal: AbortSignal | undefined) {
  let broken: "timeout" | "abort" | undefined;
  const end = (why: "timeout" | "abort") => {
    broken ??= why;
    child.kill("SIGKILL");
    // A child of its own may hold its pipes open for ever.
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  const timer = setTimeout(() => end("timeout"), timeoutMs);
  const stopWatching = signal && watchAbort(signal, () => end("abort"));
  const lift = () => {
    clearTimeout(timer);
    stopWatching?.();
  };
  return { broken: () => broken, lift };
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      reject(isNotFound(error) ? error : cannotStart(child.spawnfile, error));
    });
    child.once("close", (code, signal) => resolve(exitInfo(code, signal).exitCode));
  });
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function cannotStart(file: string, error: NodeJS.ErrnoException): HostError {
  return new HostError(`${file} can't be started on this host: ${error.message}.`, { cause: error });
}

function aborted(file: string, printed: { stdout: string; stderr: string }, signal: AbortSignal | undefined) {
  return new OperationAbortedError(file, printed, { cause: signal?.reason });
}
