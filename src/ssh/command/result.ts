import { type InspectOptions, inspect } from "node:util";
import type { CommandResult } from "../../errors.ts";
import { exitCodeOfSignal } from "../spec/signals.ts";
import type { ExitStatus } from "../transport/channel.ts";
import type { Capture } from "./capture.ts";

interface Times {
  readonly durationMs: number;
  readonly queueMs: number;
  readonly connectMs: number;
  readonly firstByteMs: number;
}

export function formatResult(
  command: string | readonly string[],
  status: ExitStatus,
  captured: { readonly stdout: Capture; readonly stderr: Capture },
  { durationMs, ...timing }: Times,
): CommandResult {
  const signal = "signal" in status ? status.signal : null;
  const exitCode = "signal" in status ? exitCodeOfSignal(status.signal) : status.code;
  const stdoutBytes = captured.stdout.bytes();
  const stderrBytes = captured.stderr.bytes();
  const stdout = once(() => captured.stdout.text(stdoutBytes));
  const stderr = once(() => captured.stderr.text(stderrBytes));
  const result: CommandResult = {
    command,
    exitCode,
    signal,
    get stdout() {
      return stdout();
    },
    get stderr() {
      return stderr();
    },
    stdoutBytes,
    stderrBytes,
    ok: exitCode === 0,
    get output() {
      return stdout().trim();
    },
    truncated: { stdout: captured.stdout.isTruncated, stderr: captured.stderr.isTruncated },
    durationMs,
    timing,
  };
  return Object.defineProperty(result, inspect.custom, { value: shown });
}

/** What `console.log` shows, also where an error has it: the text, which is decoded for that, and not the bytes too. */
function shown(this: CommandResult, _depth: number, options: InspectOptions): string {
  const { exitCode, signal, stdout, stderr, truncated, durationMs } = this;
  const cut = truncated.stdout || truncated.stderr ? { truncated } : {};
  const facts = { exitCode, ...(signal !== null && { signal }), stdout, stderr, ...cut, durationMs };
  return `CommandResult ${inspect(facts, options)}`;
}

/** Decoding 64 MiB can take a second, which who wants the bytes only need not pay. */
function once(decode: () => string): () => string {
  let text: string | null = null;
  return () => {
    text ??= decode();
    return text;
  };
}

/** A worker can't tell the death by SIGINT or SIGPIPE from an exit code, for its shell makes no remark on these. */
export function statusAsSent(status: ExitStatus, signal: string | null): ExitStatus {
  if (signal !== "SIGINT" && signal !== "SIGPIPE") return status;
  return "code" in status && status.code === exitCodeOfSignal(signal) ? { signal } : status;
}
