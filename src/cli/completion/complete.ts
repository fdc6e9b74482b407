import { tameLine } from "../../util/tame.ts";
import {
  type CommandEntry,
  type CommandGroup,
  type CommandSpec,
  type Flag,
  isGroup,
  type Names,
} from "../command.ts";
import { COMMANDS } from "../commands/table.ts";
import type { Io } from "../io.ts";
import { joinAssignments, namesOfFlag, readLine } from "./line.ts";
import { type Candidate, listNames } from "./names.ts";

type Commands = Readonly<Record<string, CommandEntry>>;

const GLOBAL_FLAGS: readonly Flag[] = [
  { flags: "-h, --help", description: "print this help" },
  { flags: "--json", description: "print one JSON document instead of text" },
];
const VERSION: Flag = { flags: "-V, --version", description: "print the version" };

/**
 * The candidates for the last of `words`, the words of an unfinished line behind `smolvm`: one to a line, its meaning behind a tab.
 * Names that can't be listed are left out without a word: nobody reads messages in the middle of a line.
 */
export async function complete(words: readonly string[], io: Io): Promise<string> {
  const line = joinAssignments(words);
  const candidates = await propose(line, COMMANDS, io);
  return candidates
    .filter(([text]) => text.startsWith(line.at(-1) ?? "") && isPlain(text))
    .map(([text, meaning]) => `${meaning ? `${text}\t${tameLine(meaning)}` : text}\n`)
    .join("");
}

/** A name that would steer the terminal, or be several candidates, is one that nobody has given. */
function isPlain(text: string): boolean {
  return tameLine(text) === text && !text.includes("\t");
}

async function propose(words: readonly string[], commands: Commands, io: Io): Promise<Candidate[]> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const at = before.findIndex((word) => !word.startsWith("-"));
  const name = before[at];
  if (name === undefined)
    return current.startsWith("-") ? flagCandidates([...GLOBAL_FLAGS, VERSION]) : summaries(commands);
  if (name === "help") return at === before.length - 1 ? summaries(commands) : [];
  if (!Object.hasOwn(commands, name)) return [];
  const entry = await commands[name]?.load();
  if (!entry) return [];
  const rest = before.slice(at + 1);
  return isGroup(entry) ? proposeInGroup(entry, rest, current, io) : proposeFor(entry, rest, current, io);
}

/** A subcommand, or what the one takes that is meant where none is named. */
async function proposeInGroup(
  { commands, usual }: CommandGroup,
  before: readonly string[],
  current: string,
  io: Io,
): Promise<Candidate[]> {
  const at = before.findIndex((word) => !word.startsWith("-"));
  const word = before[at];
  if (word !== undefined && Object.hasOwn(commands, word)) {
    const spec = commands[word];
    return spec ? proposeFor(spec, before.slice(at + 1), current, io) : [];
  }
  const meant = usual === undefined ? undefined : commands[usual];
  const own = word === undefined && !current.startsWith("-") ? summaries(commands) : [];
  return [...own, ...(meant ? await proposeFor(meant, before, current, io) : flagsOrNothing(current))];
}

async function proposeFor(
  spec: CommandSpec,
  before: readonly string[],
  current: string,
  io: Io,
): Promise<Candidate[]> {
  const flags = spec.flags ?? [];
  const { place, operands } = readLine(before, current, flags, spec.passThrough ?? false);
  if (place.kind === "value") {
    const values = await wordsFor(place.flag.choices ?? place.flag.names, io);
    return values.map(([text, ...meaning]) => [`${place.prefix}${text}`, ...meaning]);
  }
  if (place.kind === "flag") return flagCandidates([...flags, ...GLOBAL_FLAGS]);
  if (place.kind === "guest") return [];
  const known = spec.operands ?? [];
  const last = known.at(-1);
  const operand = known[operands.length] ?? (last?.[0].includes("...") ? last : undefined);
  const taken = new Set(operands);
  return (await wordsFor(operand?.[2], io)).filter(([text]) => !taken.has(text));
}

async function wordsFor(what: Names | readonly string[] | undefined, io: Io): Promise<readonly Candidate[]> {
  if (what === undefined) return [];
  if (typeof what !== "string") return what.map((word) => [word]);
  const load = async () => listNames(what, await io.loadApi());
  return load().catch(() => []);
}

function summaries(of: Readonly<Record<string, { readonly summary: string }>>): Candidate[] {
  return Object.entries(of).map(([name, { summary }]) => [name, summary]);
}

function flagCandidates(flags: readonly Flag[]): Candidate[] {
  return flags.flatMap((flag) => namesOfFlag(flag).map((name): Candidate => [name, flag.description]));
}

function flagsOrNothing(current: string): Candidate[] {
  return current.startsWith("-") ? flagCandidates(GLOBAL_FLAGS) : [];
}
