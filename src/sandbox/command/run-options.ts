import type { Readable } from "node:stream";
import type { CommandSpec, StdinSource } from "../../ssh/spec/command-spec.ts";
import { StdinPipe } from "../../ssh/spec/stdin-pipe.ts";
import { holdErrors, isReadable } from "../../ssh/spec/stdin-reader.ts";
import { StdinStream } from "../../ssh/spec/stdin-stream.ts";
import type { Terminal } from "../../ssh/spec/terminal.ts";
import { type Duration, parseDurationMs } from "../../util/duration.ts";
import { checkEnvVars } from "../../util/env-vars.ts";
import { checkArguments, checkScript } from "../../util/exec-limits.ts";
import { checkFunction, checkOptionKeys, parseSignal, refuse } from "../../util/options.ts";

export interface RunOptions {
  /** "login" (default): the user's login shell with /etc/profile and all it loads; "raw": /bin/sh without any profile. */
  shell?: "login" | "raw";
  /** Total time from the call, waiting included; 30 s by default, null for none. Then all that the command started is killed. */
  timeout?: Duration | null;
  /** For this command only. */
  env?: Record<string, string>;
  /** The user's home by default; a relative path counts from there. */
  cwd?: string;
  /** Another user of the guest, which takes a root connection. */
  user?: string;
  /** Empty by default, so that a command that reads gets the end of its input at once. "pipe": write to `run.stdin`. */
  stdin?: string | Uint8Array | Readable | AsyncIterable<string | Uint8Array>;
  /** A terminal, in which stderr comes with stdout; true is 80 columns of 24 rows, xterm-256color. */
  pty?: boolean | { columns?: number; rows?: number; term?: string };
  /** How much of each stream the result keeps, its head and its tail: 16 MiB by default. The command goes on either way. */
  maxOutputBytes?: number;
  /** True: an exit code other than 0 is thrown as CommandFailedError. */
  check?: boolean;
  /** Aborting it kills all that the command started. */
  signal?: AbortSignal;
  /**
   * Called as output comes. What it throws, or rejects with, ends the command and is what run() rejects with; promises that it returns are
   * waited for.
   */
  onStdout?: OutputListener;
  onStderr?: OutputListener;
}

/** Text is decoded as UTF-8 across chunks; bytes are what came. */
export type OutputListener = (text: string, bytes: Uint8Array) => unknown;

/** What a Run needs besides the command itself. */
export interface RunPlan {
  readonly spec: CommandSpec;
  readonly check: boolean;
  readonly onStdout: OutputListener | null;
  readonly onStderr: OutputListener | null;
}

const KEYS = [
  "shell",
  "timeout",
  "env",
  "cwd",
  "user",
  "stdin",
  "pty",
  "maxOutputBytes",
  "check",
  "signal",
  "onStdout",
  "onStderr",
] as const satisfies readonly (keyof RunOptions)[];

const DEFAULT_TIMEOUT_SECONDS = 30;
const DEFAULT_OUTPUT_BYTES = 16 * 1024 * 1024;
const MOST_OUTPUT_BYTES = 1024 * 1024 * 1024;

/** ValidationError for anything that can't be meant: a stdin is then as it was, but that its failure ends nobody's program. */
export function parseRun(command: unknown, options: RunOptions = {}): RunPlan {
  const { stdin } = Object(options);
  if (isAsyncIterable(stdin) && isReadable(stdin)) holdErrors(stdin);
  checkOptionKeys(options, KEYS, "run()");
  const env = options.env === undefined ? {} : checkEnvVars(options.env, "env");
  const others = {
    command: parseCommand(command, env),
    shell: parseShell(options.shell),
    timeoutMs: parseTimeout(options.timeout),
    env,
    cwd: parseFolder(options.cwd),
    user: parseUser(options.user),
    terminal: parseTerminal(options.pty),
    maxOutputBytes: parseOutputBytes(options.maxOutputBytes),
    signal: parseSignal(options.signal),
  };
  const plan = {
    check: parseCheck(options.check),
    onStdout: parseListener("onStdout", options.onStdout),
    onStderr: parseListener("onStderr", options.onStderr),
  };
  return { spec: { ...others, stdin: parseStdin(stdin) }, ...plan }; // the last, for it listens to the stream
}

function parseCommand(command: unknown, env: Readonly<Record<string, string>>): string | readonly string[] {
  if (typeof command === "string") {
    if (command.trim() === "")
      throw refuse("command", command, "a script or an array of a program and its arguments");
    if (command.includes("\0"))
      throw refuse("command", command, "free of NUL characters, which no shell can hold");
    checkScript(command, env);
    return command;
  }
  if (!Array.isArray(command) || command.length === 0 || command[0] === "") {
    throw refuse("command", command, "a script or an array of a program and its arguments");
  }
  for (const [index, word] of command.entries()) {
    if (typeof word !== "string" || word.includes("\0")) {
      throw refuse(`command[${index}]`, word, "a string without NUL characters");
    }
  }
  checkArguments(command, env);
  return [...command];
}

function parseShell(shell: unknown = "login"): "login" | "raw" {
  if (shell === "login" || shell === "raw") return shell;
  throw refuse("shell", shell, '"login" or "raw"');
}

function parseTimeout(timeout: unknown = DEFAULT_TIMEOUT_SECONDS): number | null {
  return timeout === null ? null : parseDurationMs(timeout, "timeout");
}

function parseFolder(cwd: unknown): string | null {
  if (cwd === undefined) return null;
  if (typeof cwd !== "string" || cwd === "" || cwd.includes("\0"))
    throw refuse("cwd", cwd, "a folder of the guest");
  return cwd;
}

function parseUser(user: unknown): string | null {
  if (user === undefined) return null;
  if (typeof user === "string" && /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/.test(user)) return user;
  throw refuse("user", user, "a user name of the guest");
}

function parseStdin(stdin: unknown): StdinSource {
  if (stdin === undefined) return { kind: "bytes", bytes: new Uint8Array() };
  if (stdin === "pipe") return { kind: "held", source: new StdinPipe() };
  if (typeof stdin === "string") return { kind: "bytes", bytes: Buffer.from(stdin) };
  if (stdin instanceof Uint8Array) return { kind: "bytes", bytes: stdin };
  if (isAsyncIterable(stdin)) return { kind: "held", source: new StdinStream(stdin) };
  throw refuse("stdin", stdin, '"pipe", a string, bytes, a Readable or an async iterable');
}

function isAsyncIterable(value: unknown): value is AsyncIterable<string | Uint8Array> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function parseTerminal(pty: unknown = false): Terminal | null {
  if (pty === false) return null;
  if (pty === true) return parseTerminalShape({});
  return parseTerminalShape(pty);
}

const MOST_CELLS = 32_767;

function parseTerminalShape(shape: unknown): Terminal {
  checkOptionKeys(shape, ["columns", "rows", "term"], "pty");
  const { columns = 80, rows = 24, term = "xterm-256color" } = shape as { [key: string]: unknown };
  if (typeof term !== "string" || !/^[A-Za-z0-9_.+-]{1,64}$/.test(term))
    throw refuse("pty.term", term, "a terminal's name");
  return { columns: parseCells("pty.columns", columns), rows: parseCells("pty.rows", rows), term };
}

export function parseCells(option: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MOST_CELLS) return value;
  throw refuse(option, value, `a whole number from 1 to ${MOST_CELLS}`);
}

function parseOutputBytes(bytes: unknown = DEFAULT_OUTPUT_BYTES): number {
  if (typeof bytes === "number" && Number.isInteger(bytes) && bytes >= 1 && bytes <= MOST_OUTPUT_BYTES)
    return bytes;
  throw refuse("maxOutputBytes", bytes, `a whole number from 1 to ${MOST_OUTPUT_BYTES}`);
}

function parseCheck(check: unknown = false): boolean {
  if (typeof check === "boolean") return check;
  throw refuse("check", check, "true or false");
}

function parseListener(option: string, listener: unknown): OutputListener | null {
  checkFunction(option, listener);
  return (listener as OutputListener | undefined) ?? null;
}
