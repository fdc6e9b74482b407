import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import {
  type CommandEntry,
  type CommandGroup,
  type CommandSpec,
  type Flag,
  isGroup,
  UsageError,
} from "./command.ts";

/** What a command line means. */
export type Parsed =
  | {
      readonly kind: "command";
      readonly spec: CommandSpec;
      readonly operands: readonly string[];
      readonly flags: object;
      /** How it is written, and where there is more. */
      readonly usage: string;
      readonly json: boolean;
    }
  | { readonly kind: "answer"; readonly text: string }
  | { readonly kind: "misuse"; readonly message: string; readonly help: string; readonly json: boolean };

const DESCRIPTION =
  "Disposable Linux microVMs: run a command in a machine of its own, throw the machine away.";
const STATUSES = `Exit status: the guest command's own; 124 timeout, 125 smolvm itself failed, 126/127 not executable/not found,
130 interrupted, 2 wrong usage.`;

/** Reads `argv` by the grammar of `commands`. Only the commands that `argv` may name are loaded. */
export async function parseCommandLine(
  argv: readonly string[],
  commands: Readonly<Record<string, CommandEntry>>,
  version: string,
): Promise<Parsed> {
  const written: Written = { out: "", err: "", failed: null };
  let chosen: Parsed | null = null;
  const choose: Choose = (spec, command) => {
    const { json, ...all } = command.optsWithGlobals<{ json?: boolean }>();
    // Of a flag such as --no-stdin there is a value also where it was not given.
    const isGiven = ([name]: [string, unknown]) => command.getOptionValueSource(name) !== "default";
    const flags = Object.fromEntries(Object.entries(all).filter(isGiven));
    const usage = usageOf(command);
    chosen = { kind: "command", spec, operands: command.args, flags, usage, json: json === true };
  };
  const program = newCommand("smolvm", written)
    .description(DESCRIPTION)
    .version(version, "-V, --version", "print the version")
    .enablePositionalOptions()
    .addHelpText("after", `\n${STATUSES}\n'smolvm COMMAND --help' shows a command's options and examples.`);
  for (const [name, entry] of Object.entries(commands)) {
    const load = argv.slice(0, 4).includes(name) ? await entry.load() : null;
    program.addCommand(load ? define(name, load, written, choose) : new Command(name).summary(entry.summary));
  }
  try {
    program.parse([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return describeEnd(error, written, asksForJson(argv));
    throw error;
  }
  return (
    chosen ?? { kind: "misuse", message: "no command given", help: "smolvm --help", json: asksForJson(argv) }
  );
}

type Choose = (spec: CommandSpec, command: Command) => void;
interface Written {
  out: string;
  err: string;
  /** Whose words could not be read. */
  failed: Command | null;
}

function newCommand(name: string, written: Written): Command {
  const command: Command = new Command(name);
  return command
    .exitOverride((error) => {
      written.failed = command;
      throw error;
    })
    .configureOutput({
      writeOut: (text) => {
        written.out += text;
      },
      writeErr: (text) => {
        written.err += text;
      },
    })
    .helpOption("-h, --help", "print this help")
    .option("--json", "print one JSON document instead of text");
}

function define(name: string, entry: CommandSpec | CommandGroup, written: Written, choose: Choose): Command {
  const command = newCommand(name, written)
    .summary(entry.summary)
    .description(entry.description ?? asSentence(entry.summary));
  if (isGroup(entry)) {
    const children = Object.entries(entry.commands);
    for (const [child, spec] of children)
      command.addCommand(define(child, spec, written, choose), { isDefault: child === entry.usual });
    return command.addHelpText(
      "after",
      formatExamples({ examples: children.flatMap(([, { examples }]) => examples) }),
    );
  }
  for (const [notation, meaning] of entry.operands ?? []) command.argument(notation, meaning);
  for (const flag of entry.flags ?? []) command.addOption(toOption(flag));
  if (entry.passThrough) command.passThroughOptions();
  command.addHelpText("after", formatExamples(entry));
  return command.action(() => choose(entry, command));
}

function asSentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}

function toOption(flag: Flag): Option {
  const option = new Option(flag.flags, flag.description);
  if (flag.choices) option.choices(flag.choices);
  const { parse } = flag;
  if (parse)
    option.argParser((value: string, previous: unknown) => asInvalidArgument(() => parse(value, previous)));
  return option;
}

function asInvalidArgument<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof UsageError ? new InvalidArgumentError(error.message) : error;
  }
}

function formatExamples({ examples, notes }: Pick<CommandSpec, "examples" | "notes">): string {
  const lines = examples.map(([line, meaning]) => `  $ ${line}\n      ${meaning}`);
  return `\nExamples:\n${lines.join("\n")}${notes ? `\n\n${notes}` : ""}`;
}

function describeEnd(error: CommanderError, written: Written, json: boolean): Parsed {
  if (error.exitCode === 0) return { kind: "answer", text: written.out };
  if (error.code === "commander.help") {
    return { kind: "misuse", message: "no command given", help: written.err.trimEnd(), json };
  }
  return {
    kind: "misuse",
    message: error.message.replace(/^error: /, "").replace("\n", " "),
    help: written.failed ? usageOf(written.failed) : "",
    json,
  };
}

function usageOf(command: Command): string {
  const words: string[] = [];
  for (let each: Command | null = command; each; each = each.parent) words.unshift(each.name());
  return `Usage: ${command.createHelp().commandUsage(command)}\nMore about it: ${words.join(" ")} --help`;
}

/** For lines that could not be parsed: what follows `--` belongs to the guest. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--json");
}
