import { type CommandSpec, type Context, type Outcome, UsageError } from "../command.ts";
import { write } from "../io.ts";
import { type MachineFlags, machineFlags, machineOptions } from "../machine-flags.ts";
import {
  checkTerminal,
  describeTerminal,
  holdTerminal,
  type TerminalFlags,
  terminalFlags,
} from "../terminal/hold.ts";
import { parseTimeout } from "../values.ts";

interface RunFlags extends MachineFlags, TerminalFlags {
  readonly timeout?: number | string;
  readonly shell?: "login" | "raw";
}

export const run: CommandSpec<RunFlags> = {
  summary: "run a command in a fresh machine that is gone afterwards",
  description: `Run a command in a fresh machine that is gone afterwards.

Several words are a program and its arguments, passed on as they are. A single word is a shell script.
What is piped into smolvm is the command's standard input. With -it the command has your terminal; without a command it is the
login shell. Ctrl-] leaves, and so does ~. at the start of a line: the machine is gone then.`,
  operands: [["[command...]", "a program and its arguments, or one shell script"]],
  passThrough: true,
  flags: [
    ...terminalFlags,
    ...machineFlags,
    {
      flags: "--timeout <duration>",
      description: "end the command after this time: 30s, 5m, 500ms, or seconds (default: none)",
      parse: parseTimeout,
    },
    {
      flags: "--shell <mode>",
      description: "login: profile and /etc/profile.d are loaded; raw: neither (default: login)",
      choices: ["login", "raw"],
    },
  ],
  examples: [
    ["smolvm run -- uname -a", "one program, its arguments untouched by any shell"],
    ["smolvm run -- 'cd /etc && ls | wc -l'", "a single word is a script for the guest's shell"],
    [
      "smolvm run --memory 1G --cpus 2 --env CI=1 -- make test",
      "a bigger machine, with an environment variable",
    ],
    ["smolvm run -it", "a shell of your own, in a machine that goes when you do"],
    ["smolvm run -it --memory 2G -- top", "a full-screen program"],
    ["tar c . | smolvm run -- tar t", "standard input is passed on"],
    ["smolvm run --network off --timeout 10s -- ./untrusted", "no network, and an end"],
    ["smolvm run --json -- id", "the whole result as one JSON document"],
  ],
  async act(words, flags, context) {
    const command = parseCommand(words, flags);
    checkTerminal(flags, context);
    return context.api.SmolVM.use(machineOptions(flags, context), async (vm) => {
      context.progress.clear();
      if (flags.tty || command === null) {
        const shell = await vm.shell(shellOptions(command, flags, context));
        return holdTerminal(shell, flags, context);
      }
      const run = vm.run(command, runOptions(flags, context));
      if (!context.json) await copyOutput(run, context);
      return toOutcome(await run);
    });
  },
};

type Run = ReturnType<InstanceType<Context["api"]["SmolVM"]>["run"]>;
type Command = string | readonly string[];

/** Null is the login shell. */
function parseCommand(words: readonly string[], { interactive, tty }: RunFlags): Command | null {
  const [first, ...others] = words;
  if (first === undefined && interactive && tty) return null;
  if (first === undefined) throw new UsageError("Give a command, or -it for a shell in your terminal.");
  if (first === "" || (others.length === 0 && first.trim() === ""))
    throw new UsageError("The command is empty.");
  return others.length === 0 ? first : words;
}

function runOptions(flags: RunFlags, context: Context) {
  const { io } = context;
  return {
    ...commonOptions(flags, context),
    ...(io.stdin.isTTY && !flags.interactive ? {} : { stdin: io.stdin }),
  };
}

function shellOptions(command: Command | null, flags: RunFlags, context: Context) {
  const what = command ?? (flags.shell === "raw" ? ["/bin/sh"] : undefined);
  return {
    ...commonOptions(flags, context),
    ...describeTerminal(context.io),
    ...(what !== undefined && { command: what }),
  };
}

function commonOptions({ timeout, shell }: RunFlags, { signal }: Context) {
  return {
    // A person waits as long as it takes, and has Ctrl-C.
    timeout: timeout ?? null,
    signal,
    ...(shell === undefined ? {} : { shell }),
  };
}

/** As it comes, and no faster than it is taken: the guest's writer waits for a slow reader. */
async function copyOutput(run: Run, { io, signal }: Context): Promise<void> {
  for await (const { stream, bytes } of run) await write(io[stream], bytes, signal);
}

function toOutcome(result: Awaited<Run>): Outcome {
  // The bytes would be an object of numbers in JSON; the text stands for them.
  const { stdoutBytes: _out, stderrBytes: _err, ...document } = result;
  return { status: result.exitCode, document, text: "" };
}
