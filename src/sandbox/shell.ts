import type { Readable, Writable } from "node:stream";
import type { CommandResult } from "../errors.ts";
import type { TerminalSize } from "../ssh/channel.ts";
import { Command } from "../ssh/command.ts";
import { StdinPipe } from "../ssh/command-stdin.ts";
import { checkOptionKeys } from "../util/options.ts";
import { attachStreams } from "./attach.ts";
import type { CommandContext } from "./run.ts";
import {
  parseCells,
  parseFolder,
  parseRunEnv,
  parseSignal,
  parseTerminalShape,
  parseUser,
} from "./run-options.ts";

export interface ShellOptions {
  /** 80 by default. */
  columns?: number;
  /** 24 by default. */
  rows?: number;
  /** The terminal's type: "xterm-256color" by default. */
  term?: string;
  env?: Record<string, string>;
  /** The user's home by default. */
  cwd?: string;
  /** Another user of the guest, which takes a root connection. */
  user?: string;
  /** Aborting it ends the shell and all that it started. */
  signal?: AbortSignal;
}

/** An interactive login shell in a terminal of the guest. */
export interface Shell extends AsyncDisposable {
  /**
   * Passes input and output on between the terminal and a pair of streams, until the returned function is called or the shell
   * ends. A stdin that is a terminal is put in raw mode meanwhile. Before it is attached the shell's output waits.
   */
  attach(stdin: Readable, stdout: Writable): () => void;
  resize(size: TerminalSize): void;
  /** Ends the shell and all that it started. Twice is fine. */
  close(): Promise<void>;
  /** How the shell ended. Rejects with CommandOutcomeUnknownError where the connection broke, OperationAbortedError after `signal`. */
  readonly exited: Promise<{ readonly exitCode: number; readonly signal: string | null }>;
}

const KEYS = [
  "columns",
  "rows",
  "term",
  "env",
  "cwd",
  "user",
  "signal",
] as const satisfies readonly (keyof ShellOptions)[];

/** What of the output a result keeps: nobody looks at it. */
const KEPT_BYTES = 4096;

/** Resolves when the shell is there. */
export async function openShell(context: CommandContext, options: ShellOptions = {}): Promise<Shell> {
  checkOptionKeys(options, KEYS, "shell()");
  const { columns, rows, term, env, cwd, user, signal } = options;
  const shape = {
    ...(columns !== undefined && { columns }),
    ...(rows !== undefined && { rows }),
    ...(term !== undefined && { term }),
  };
  const pipe = new StdinPipe(true);
  const spec = {
    command: "",
    shell: "interactive" as const,
    timeoutMs: null,
    env: parseRunEnv(env),
    cwd: parseFolder(cwd),
    user: parseUser(user),
    stdin: { kind: "pipe" as const, pipe },
    terminal: parseTerminalShape(shape),
    maxOutputBytes: KEPT_BYTES,
    signal: parseSignal(signal),
  };
  const attachment = attachStreams(
    pipe,
    () => command.resume(),
    (size) => command.resize(size),
  );
  const command = new Command(spec, attachment.take, context.runner.surroundings());
  const exited = command.result.then(exitOf);
  exited.catch(() => {});
  exited.finally(attachment.end).catch(() => {});
  await command.started;
  const close = async () => {
    command.stop({ kind: "killed" });
    await exited.catch(() => {});
  };
  return {
    attach: attachment.attach,
    resize: ({ columns, rows }) =>
      command.resize({ columns: parseCells("columns", columns), rows: parseCells("rows", rows) }),
    close,
    [Symbol.asyncDispose]: close,
    exited,
  };
}

function exitOf({ exitCode, signal }: CommandResult) {
  return { exitCode, signal };
}
