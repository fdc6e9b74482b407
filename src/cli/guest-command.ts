import type { Machine } from "./api.ts";
import { type Context, type Flag, type Outcome, UsageError } from "./command.ts";
import { write } from "./io.ts";
import { withoutUndefined } from "./options.ts";
import { describeTerminal, holdTerminal, type TerminalFlags } from "./terminal/hold.ts";
import { parseDuration } from "./values.ts";

/** The flags of every command that runs something in a guest, besides those of the terminal. */
export interface GuestCommandFlags extends TerminalFlags {
  readonly timeout?: number | string;
  readonly shell?: "login" | "raw";
  readonly user?: string;
  readonly cwd?: string;
  /** False: standard input is left alone. */
  readonly stdin?: boolean;
}

export const guestCommandFlags: readonly Flag[] = [
  {
    flags: "--timeout <duration>",
    description: "end the command after this time: 30s, 5m, 500ms, or seconds (default: none)",
    parse: parseDuration,
  },
  {
    flags: "--shell <mode>",
    description: "login: profile and /etc/profile.d are loaded; raw: neither (default: login)",
    choices: ["login", "raw"],
  },
  { flags: "--user <name>", description: "run as this user of the guest (default: root)" },
  { flags: "--cwd <folder>", description: "run in this folder of the guest (default: the user's home)" },
];

export const stdinFlag: Flag = {
  flags: "-n, --no-stdin",
  description:
    "leave standard input alone: the command reads nothing, and a loop around smolvm keeps its input",
};

/** Refuses an input that nobody can read, before a machine is started for it. */
export function checkStdin({ stdin, tty }: GuestCommandFlags, { io }: Context): void {
  if (stdin === false || tty || !io.isStdinFolder()) return;
  throw Object.assign(new Error("Standard input is a folder, which can't be read."), {
    code: "STDIN",
    remediation: "Give a file or a pipe, or -n for no input.",
  });
}

/** What to run; a null command is the login shell. `env` is for it alone. */
export interface GuestCommand {
  readonly command: string | readonly string[] | null;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Several words are a program and its arguments, a single one is a script, and none is a shell. */
export function parseGuestCommand(
  words: readonly string[],
  { interactive, tty, stdin }: GuestCommandFlags,
): GuestCommand["command"] {
  if (interactive && stdin === false)
    throw new UsageError("-i passes standard input on, and -n leaves it alone. Give one of them.");
  const [first, ...others] = words;
  if (first === undefined && interactive && tty) return null;
  if (first === undefined) throw new UsageError("Give a command, or -it for a shell in your terminal.");
  if (first === "" || (others.length === 0 && first.trim() === ""))
    throw new UsageError("The command is empty.");
  return others.length === 0 ? first : words;
}

/** Joins the user's streams, or their terminal, with the command until it ends. The status is the command's. */
export async function runInGuest(
  vm: Machine,
  { command, env }: GuestCommand,
  flags: GuestCommandFlags,
  context: Context,
): Promise<Outcome> {
  const { shell, user, cwd, timeout } = flags;
  const common = {
    ...withoutUndefined({ shell, user, cwd, env }),
    // A person waits as long as it takes, and has Ctrl-C.
    timeout: timeout ?? null,
    signal: context.signal,
  };
  if (flags.tty || command === null) {
    const what = command ?? (shell === "raw" ? ["/bin/sh"] : undefined);
    const options = {
      ...common,
      ...describeTerminal(context.io),
      ...(what !== undefined && { command: what }),
    };
    return holdTerminal(await vm.shell(options), flags, context);
  }
  const run = vm.run(command, { ...common, ...givenStdin(flags, context) });
  if (!context.json) await copyOutput(run, context);
  return toOutcome(await run);
}

/** The input of a terminal is passed on where it is asked for, and any other where it is not refused. */
function givenStdin({ stdin: isWanted = true, interactive }: GuestCommandFlags, { io }: Context) {
  if (!isWanted) return {};
  const { stdin } = io;
  return stdin.isTTY && !interactive ? {} : { stdin };
}

type Run = ReturnType<Machine["run"]>;

/** As it comes, and no faster than it is taken: the guest's writer waits for a slow reader. */
async function copyOutput(run: Run, { io, signal }: Context): Promise<void> {
  for await (const { stream, bytes } of run) await write(io[stream], bytes, signal);
}

function toOutcome(result: Awaited<Run>): Outcome {
  // The bytes would be an object of numbers in JSON; the text stands for them.
  const { stdoutBytes: _out, stderrBytes: _err, ...document } = result;
  return { status: result.exitCode, document, text: "" };
}
