import type { CommandGroup, CommandSpec } from "../command.ts";
import { withMachine } from "../open-machine.ts";
import { quoteForShell } from "../text.ts";
import { parseEnv } from "../values.ts";

const machine = ["<name>", "the machine", "machine"] as const;

const ls: CommandSpec = {
  summary: "list the variables of a machine",
  operands: [machine],
  examples: [
    ["smolvm env web", "lines of NAME=VALUE, quoted so that a shell can read them"],
    ["smolvm env web --json | jq -r .env.TOKEN", "one value as it is"],
  ],
  async act([name = ""], _flags, context) {
    const env = await withMachine(name, context, (vm) => vm.listEnvVars());
    const lines = Object.entries(env).map(([key, value]) => `${key}=${quoteForShell(value)}`);
    return { document: { env }, text: lines.join("\n") };
  },
};

const set: CommandSpec<{ readonly replace?: boolean }> = {
  summary: "set variables for every login shell from now on",
  operands: [machine, ["<NAME[=VALUE]...>", "the variables; NAME alone takes its value from here"]],
  flags: [{ flags: "--replace", description: "unset all other variables" }],
  examples: [
    ["smolvm env set web CI=1 'GREETING=hello there'", "two variables; prints the names of all that are set"],
    [
      "smolvm env set web API_TOKEN",
      "takes the value that it has here, so that no list of processes shows it",
    ],
  ],
  async act([name = "", ...texts], { replace = false }, context) {
    const variables = texts.reduce<Record<string, string>>(
      (previous, text) => parseEnv(text, previous, context.io.env),
      {},
    );
    const names = await withMachine(name, context, (vm) => vm.setEnvVars(variables, { merge: !replace }));
    return { document: { names }, text: names.join("\n") };
  },
};

const unset: CommandSpec = {
  summary: "unset variables",
  operands: [machine, ["<variables...>", "their names"]],
  examples: [["smolvm env unset web CI", "prints the names of those that were set"]],
  async act([name = "", ...variables], _flags, context) {
    const removed = await withMachine(name, context, (vm) => vm.unsetEnvVars(variables));
    return { document: { removed }, text: Object.keys(removed).join("\n") };
  },
};

export const env: CommandGroup = {
  summary: "list, set and unset the environment variables of a machine",
  commands: { ls, set, unset },
  usual: "ls",
};
