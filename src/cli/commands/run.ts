import type { CommandSpec } from "../command.ts";
import {
  checkStdin,
  type GuestCommandFlags,
  guestCommandFlags,
  parseGuestCommand,
  runInGuest,
  stdinFlag,
} from "../guest-command.ts";
import {
  type LifeFlags,
  lifeFlags,
  lifeOptions,
  nameFlag,
  type ShapeFlags,
  shapeFlags,
  shapeOptions,
} from "../machine-flags.ts";
import { withoutUndefined } from "../options.ts";
import { checkTerminal, terminalFlags } from "../terminal/hold.ts";

interface RunFlags extends ShapeFlags, LifeFlags, GuestCommandFlags {
  readonly name?: string;
}

export const run: CommandSpec<RunFlags> = {
  summary: "run a command in a fresh machine that is gone afterwards",
  description: `Run a command in a fresh machine that is gone afterwards.

Several words are a program and its arguments, passed on as they are. A single word is a shell script.

What is piped into smolvm becomes the command's standard input. In a loop that reads its own input, use -n.

With -it the command uses your terminal; without a command you get the login shell. To leave, press Ctrl-], or ~. at the start of a line: the machine is removed then.`,
  operands: [["[command...]", "a program and its arguments, or one shell script"]],
  passThrough: true,
  flags: [...terminalFlags, stdinFlag, ...guestCommandFlags, nameFlag, ...shapeFlags, ...lifeFlags],
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
    ["smolvm run --network off --timeout 10s -- ./untrusted", "without a network, for 10 seconds at most"],
    ["smolvm run --json -- id", "the whole result as one JSON document"],
  ],
  async act(words, flags, context) {
    const command = parseGuestCommand(words, flags);
    checkTerminal(flags, context);
    checkStdin(flags, context);
    const { name } = flags;
    const options = {
      ...withoutUndefined({ name }),
      ...shapeOptions(flags),
      ...lifeOptions(flags, context),
    };
    return context.api.SmolVM.use(options, async (vm) => {
      context.progress.clear();
      return runInGuest(vm, { command }, flags, context);
    });
  },
};
