import type { Api } from "./api.ts";
import type { Io } from "./io.ts";

/** One command: what it takes, how its help reads, what it does. One file in commands/ each. */
export interface CommandSpec<Flags extends object = object> {
  /** A line for the list of commands. */
  readonly summary: string;
  /** What `--help` opens with; `summary` as a sentence where absent. */
  readonly description?: string;
  /** Operands in commander's notation, such as `["[command...]", "what to run"]`, and what a shell completes them with. */
  readonly operands?: readonly (readonly [
    notation: string,
    meaning: string,
    completes?: Names | readonly string[],
  ])[];
  readonly flags?: readonly Flag[];
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** What `--help` ends with. */
  readonly notes?: string;
  /** Options behind the first operand belong to the operand. */
  readonly passThrough?: boolean;
  act(operands: readonly string[], flags: Flags, context: Context): Promise<Outcome>;
}

/** What a word names; shells complete it. */
export type Names = "machine" | "snapshot" | "image";

/** Commands below a word, such as `image ls`. */
export interface CommandGroup {
  readonly summary: string;
  readonly description?: string;
  readonly commands: Readonly<Record<string, CommandSpec>>;
  /** Which of them is meant where none is named: `env web` is `env ls web`. */
  readonly usual?: string;
}

/** A row of the table of commands: the file is loaded when the command is named. */
export interface CommandEntry {
  readonly summary: string;
  load(): Promise<CommandSpec | CommandGroup>;
}

export interface Flag {
  /** Commander's notation: `"-e, --env <NAME[=VALUE]>"`. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  /** What its value names. */
  readonly names?: Names;
  /** Throws UsageError where the text can't be meant. `previous`: what earlier uses of the flag came to. */
  parse?(text: string, previous: unknown): unknown;
}

/** What a command works with. */
export interface Context {
  readonly io: Io;
  readonly api: Api;
  /** Nothing but the document at the end belongs on stdout. */
  readonly json: boolean;
  /** Aborted by Ctrl-C, by SIGTERM, and when stdout has been closed by its reader. */
  readonly signal: AbortSignal;
  /** Shows progress on a terminal, and nothing elsewhere. */
  readonly progress: ProgressLine;
}

export interface ProgressLine {
  show(text: string): void;
  clear(): void;
}

/** What a command came to. */
export interface Outcome {
  /** 0 where absent. */
  readonly status?: number;
  /** For `--json`. */
  readonly document: object;
  /** For people, on stdout; "" where the command has written already. */
  readonly text: string;
}

/** A command line that can't be meant: exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export function isGroup(entry: CommandSpec | CommandGroup): entry is CommandGroup {
  return "commands" in entry;
}
