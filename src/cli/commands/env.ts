import { nearestOf } from "../../util/options.ts";
import { tame, tameLine } from "../../util/tame.ts";
import type { CommandGroup, CommandSpec } from "../command.ts";
import { write } from "../io.ts";
import { withMachine } from "../open-machine.ts";
import { say } from "../say.ts";
import { formatNames, quoteForShell } from "../text.ts";
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

const get: CommandSpec = {
  summary: "print the value of a variable",
  operands: [machine, ["<variable>", "its name"]],
  examples: [["TOKEN=$(smolvm env get web TOKEN)", "its value as it is, and the end of the line"]],
  async act([name = "", variable = ""], _flags, context) {
    const { io, json, signal } = context;
    const env = await withMachine(name, context, (vm) => vm.listEnvVars());
    const value = Object.hasOwn(env, variable) ? env[variable] : undefined;
    if (value === undefined) throw notSet(variable, name, Object.keys(env));
    // On a terminal nothing is to steer it; a program reads the very value.
    const shown = io.stdout.isTTY ? tame(value) : value;
    if (!json) await write(io.stdout, Buffer.from(`${shown}\n`), signal);
    return { document: { name: variable, value }, text: "" };
  },
};

function notSet(variable: string, machineName: string, names: readonly string[]): Error {
  const nearest = nearestOf(variable, names);
  return Object.assign(new Error(`${variable} is not set in machine "${machineName}".`), {
    code: "NOT_SET",
    remediation: `${nearest === undefined ? "" : `Did you mean ${nearest}? `}All that are set: smolvm env ls ${machineName}`,
  });
}

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
    return { document: { names }, text: formatNames(names) };
  },
};

const unset: CommandSpec = {
  summary: "unset variables",
  operands: [machine, ["<variables...>", "their names"]],
  examples: [["smolvm env unset web CI", "prints the names of those that were set"]],
  notes: "Of a name that was not set a line on stderr says so; the status is 0 all the same.",
  async act([name = "", ...variables], _flags, context) {
    const { io, json } = context;
    const removed = await withMachine(name, context, (vm) => vm.unsetEnvVars(variables));
    const others = [...new Set(variables)].filter((each) => !Object.hasOwn(removed, each));
    for (const each of json ? [] : others)
      say(io.stderr, `smolvm: ${tameLine(`${each} was not set in ${name}`)}.\n`);
    return { document: { removed }, text: formatNames(Object.keys(removed)) };
  },
};

export const env: CommandGroup = {
  summary: "list, get, set and unset the environment variables of a machine",
  commands: { ls, get, set, unset },
  usual: "ls",
};
