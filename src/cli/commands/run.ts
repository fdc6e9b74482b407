import { type CommandSpec, type Context, type Outcome, UsageError } from "../command.ts";
import { write } from "../io.ts";
import { type MachineFlags, machineFlags, machineOptions } from "../machine-flags.ts";
import { parseTimeout } from "../values.ts";

interface RunFlags extends MachineFlags {
  readonly timeout?: number | string;
  readonly shell?: "login" | "raw";
}

export const run: CommandSpec<RunFlags> = {
  summary: "run a command in a fresh machine that is gone afterwards",
  description: `Run a command in a fresh machine that is gone afterwards.

Several words are a program and its arguments, passed on as they are. A single word is a shell script.
What is piped into smolvm is the command's standard input.`,
  operands: [["<command...>", "a program and its arguments, or one shell script"]],
  passThrough: true,
  flags: [
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
    ["tar c . | smolvm run -- tar t", "standard input is passed on"],
    ["smolvm run --network off --timeout 10s -- ./untrusted", "no network, and an end"],
    ["smolvm run --json -- id", "the whole result as one JSON document"],
  ],
  async act(words, flags, context) {
    const [first = ""] = words;
    const isScript = words.length === 1;
    if (first === "" || (isScript && first.trim() === "")) throw new UsageError("The command is empty.");
    const command = isScript ? first : words;
    return context.api.SmolVM.use(machineOptions(flags, context), async (vm) => {
      context.progress.clear();
      const run = vm.run(command, runOptions(flags, context));
      if (!context.json) await copyOutput(run, context);
      return toOutcome(await run);
    });
  },
};

type Run = ReturnType<InstanceType<Context["api"]["SmolVM"]>["run"]>;

function runOptions({ timeout, shell }: RunFlags, { io, signal }: Context) {
  return {
    // A person waits as long as it takes, and has Ctrl-C.
    timeout: timeout ?? null,
    signal,
    ...(shell === undefined ? {} : { shell }),
    ...(io.stdin.isTTY ? {} : { stdin: io.stdin }),
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
