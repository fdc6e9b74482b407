import { type CommandSpec, UsageError } from "../command.ts";
import {
  checkStdin,
  type GuestCommandFlags,
  guestCommandFlags,
  parseGuestCommand,
  runInGuest,
  stdinFlag,
} from "../guest-command.ts";
import { envFlag } from "../machine-flags.ts";
import { withMachine } from "../open-machine.ts";
import { checkTerminal, escapeFlag, requireTerminal, terminalFlags } from "../terminal/hold.ts";

interface ExecFlags extends GuestCommandFlags {
  readonly env?: Readonly<Record<string, string>>;
}

const commandEnvFlag = { ...envFlag, description: `${envFlag.description}; for this command only` };

export const exec: CommandSpec<ExecFlags> = {
  summary: "run a command in a machine that runs",
  description: `Run a command in a machine that runs. Options come before the machine's name.

Several words are a program and its arguments, passed on as they are. A single word is a shell script.

What is piped into smolvm becomes the command's standard input. In a loop that reads its own input, use -n.

With -it the command uses your terminal. To leave, press Ctrl-], or ~. at the start of a line: the command is ended then, and the machine goes on.`,
  operands: [
    ["<name>", "the machine", "machine"],
    ["[command...]", "a program and its arguments, or one shell script"],
  ],
  passThrough: true,
  flags: [...terminalFlags, stdinFlag, commandEnvFlag, ...guestCommandFlags],
  examples: [
    ["smolvm exec web -- apt-get install -y nginx", "one program, its arguments untouched by any shell"],
    ["smolvm exec web -- 'cd /etc && ls | wc -l'", "a single word is a script for the guest's shell"],
    ["smolvm exec -it web -- top", "a full-screen program"],
    ["tar c . | smolvm exec --cwd /srv web -- tar x", "standard input is passed on"],
    ["while read x; do smolvm exec -n web -- echo $x; done < list", "the loop's input is left alone"],
    [
      "smolvm exec --user www-data -e DEBUG=1 --timeout 1m web -- ./check",
      "as another user, for a minute at most",
    ],
    ["smolvm exec --json web -- id", "the whole result as one JSON document"],
  ],
  async act([name = "", ...rest], flags, context) {
    const command = parseGuestCommand(wordsOf(rest), flags);
    checkTerminal(flags, context);
    checkStdin(flags, context);
    return withMachine(name, context, (vm) => runInGuest(vm, { command, env: flags.env }, flags, context));
  },
};

export const shell: CommandSpec<ExecFlags> = {
  summary: "open a shell in a machine that runs",
  description: `Open the login shell of a machine that runs, in your terminal.

To leave, type 'exit', press Ctrl-], or ~. at the start of a line: the shell is ended then, and the machine goes on.`,
  operands: [["<name>", "the machine", "machine"]],
  flags: [escapeFlag, commandEnvFlag, ...guestCommandFlags],
  examples: [
    ["smolvm shell web", "like `smolvm exec -it web`"],
    ["smolvm shell --user www-data --cwd /srv web", "as another user, in another folder"],
  ],
  async act([name = ""], flags, context) {
    requireTerminal("a shell", `'smolvm exec ${name} -- COMMAND' runs a command without one.`, context);
    const terminal = { ...flags, interactive: true, tty: true };
    return withMachine(name, context, (vm) =>
      runInGuest(vm, { command: null, env: flags.env }, terminal, context),
    );
  },
};

/** What stands behind the machine's name. A program whose name begins with a dash needs the `--`. */
function wordsOf([first, ...others]: readonly string[]): readonly string[] {
  if (first === undefined || first === "--") return others;
  if (first.startsWith("-"))
    throw new UsageError(`Options come before the machine's name: smolvm exec ${first} NAME -- COMMAND.`);
  return [first, ...others];
}
