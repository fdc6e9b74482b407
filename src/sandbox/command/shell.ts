import type { Readable, Writable } from "node:stream";
import { inspect } from "node:util";
import type { CommandResult } from "../../errors.ts";
import { startCommand } from "../../ssh/command/command-runner.ts";
import type { CommandSpec } from "../../ssh/spec/command-spec.ts";
import { StdinPipe } from "../../ssh/spec/stdin-pipe.ts";
import type { TerminalSize } from "../../ssh/spec/terminal.ts";
import type { Duration } from "../../util/duration.ts";
import { checkOptionKeys } from "../../util/options.ts";
import { type AttachOptions, attachStreams } from "./attach.ts";
import type { CommandContext } from "./run.ts";
import { parseCells, parseRun } from "./run-options.ts";
import { showAs, watchEnding } from "./shown.ts";

export interface ShellOptions {
  /** 80 by default. */
  columns?: number;
  /** 24 by default. */
  rows?: number;
  /** The terminal's type: "xterm-256color" by default. */
  term?: string;
  /** What runs in the terminal, as in `run`: the user's login shell by default. */
  command?: string | readonly string[];
  /** How `command` is run, as in `run`: "login" by default. */
  shell?: "login" | "raw";
  /** Total time from the call; none by default. Then all that runs in the terminal is killed. */
  timeout?: Duration | null;
  env?: Record<string, string>;
  /** The user's home by default. */
  cwd?: string;
  /** Another user of the guest, which takes a root connection. */
  user?: string;
  /** Aborting it ends the shell and all that it started. */
  signal?: AbortSignal;
}

/** A terminal of the guest, with the login shell or a command in it. */
export interface Shell extends AsyncDisposable {
  /**
   * Passes input and output on between the terminal and a pair of streams, until the returned function is called, the
   * shell ends or another pair is attached. A stdin that breaks ends the shell, a stdout that does is let go of. A stdin that is a terminal is put in raw mode meanwhile; the size of a stdout that
   * is one is followed. The end of stdin reaches the guest as Control-D. While nothing is attached the output waits.
   */
  attach(stdin: Readable, stdout: Writable, options?: AttachOptions): () => void;
  resize(size: TerminalSize): void;
  /** Ends the shell and all that it started. Twice is fine. */
  close(): Promise<void>;
  /**
   * How it ended. Rejects with CommandOutcomeUnknownError where the connection broke, OperationTimeoutError after
   * `timeout`, OperationAbortedError after `signal`, and with what broke an attached stdin.
   */
  readonly exited: Promise<{ readonly exitCode: number; readonly signal: string | null }>;
}

const KEYS = [
  "columns",
  "rows",
  "term",
  "command",
  "shell",
  "timeout",
  "env",
  "cwd",
  "user",
  "signal",
] as const satisfies readonly (keyof ShellOptions)[];

/** What of the output a result keeps: nobody looks at it. */
const KEPT_BYTES = 4096;

/** Resolves when the shell is there. */
export async function openShell(context: CommandContext, options: ShellOptions = {}): Promise<Shell> {
  const pipe = new StdinPipe();
  const spec: CommandSpec = { ...parseShellOptions(options), stdin: { kind: "held", source: pipe } };
  const attachment = attachStreams(
    pipe,
    () => command.resume(),
    (size) => command.resize(size),
    (error) => command.stop({ kind: "failed", error }),
  );
  const command = startCommand(Promise.resolve(context.runner), spec, attachment.take);
  const exited = command.result.then(exitOf);
  exited.catch(() => {});
  exited.finally(attachment.end).catch(() => {});
  await command.started;
  const close = async () => {
    command.stop({ kind: "killed" });
    await exited.catch(() => {});
  };
  const facts = watchEnding(exited);
  const shell: Shell = {
    attach: attachment.attach,
    resize: ({ columns, rows }) =>
      command.resize({ columns: parseCells("columns", columns), rows: parseCells("rows", rows) }),
    close,
    [Symbol.asyncDispose]: close,
    exited,
  };
  return Object.assign(shell, {
    [inspect.custom]: () => showAs("Shell", { vmId: context.vm.id, ...facts() }),
  });
}

function parseShellOptions(options: ShellOptions): CommandSpec {
  checkOptionKeys(options, KEYS, "shell()");
  const { columns, rows, term, command, timeout = null, ...others } = options;
  const pty = {
    ...(columns !== undefined && { columns }),
    ...(rows !== undefined && { rows }),
    ...(term !== undefined && { term }),
  };
  const { spec } = parseRun(command ?? "exit", { ...others, pty, timeout, maxOutputBytes: KEPT_BYTES });
  return command === undefined ? { ...spec, command: "", shell: "interactive" } : spec;
}

function exitOf({ exitCode, signal }: CommandResult) {
  return { exitCode, signal };
}
