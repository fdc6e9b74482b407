// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code

import { quoteOnOneLine } from "../util/quote.ts";
import { addBulk, assignments, isEmpty, isLong } from "./bulk.ts";
import type { CommandSpec } from "./spec.ts";

/** A language that a shell which waits can be told something in. */
export type WaitingLanguage = "bash" | "posix";

const POSIX_SHELLS = ["sh", "dash", "ash", "busybox", "ksh", "mksh"];

/** Null: of a shell of another language none is started ahead of time. */
export function languageOf(shell: string): WaitingLanguage | null {
  if (shell === "bash") return "bash";
  return POSIX_SHELLS.includes(shell) ? "posix" : null;
}

interface Waiting {
  readonly kind: WaitingLanguage;
  readonly isLast: boolean;
  readonly renewal: string;
  readonly bulk: Buffer[];
}

/** How each step is written so that no function and no alias of the profile's stands in for it. */
interface Language {
  readonly builtin: string;
  readonly special: string;
  readonly exit: string;
  /** As a new shell has it that begins in a folder. */
  readonly forgetFolder: string;
  /** Runs a script, one word of code, where nothing of ours is left. */
  readonly evaluate: (word: string, forget: string) => string;
}

const LANGUAGES: Readonly<Record<WaitingLanguage, Language>> = {
  bash: {
    builtin: "\\builtin ",
    special: "\\builtin ",
    exit: "${__smolvm?}", // ends a shell without a command
    forgetFolder: "\\builtin unset -v OLDPWD;\\builtin export OLDPWD;",
    evaluate: (word, forget) =>
      // `$_` is what the command before ended with.
      `BASH_EXECUTION_STRING=${word};\\builtin export -n BASH_EXECUTION_STRING;${forget}\\builtin set --;\\builtin : "";\\builtin eval -- "$BASH_EXECUTION_STRING"`,
  },
  posix: {
    builtin: "\\command ",
    special: "\\",
    exit: "\\exit",
    forgetFolder: "\\unset OLDPWD;",
    evaluate: (word, forget) => `\\set -- ${word};${forget}\\eval "\\\\set --;$1"`,
  },
};

/** For a shell that waits: see src/guest/worker.sh for its parameters. `bulk` gets what is too long for the line. */
export function waitingCode(spec: CommandSpec, { kind, isLast, renewal, bulk }: Waiting): string {
  const language = LANGUAGES[kind];
  const { builtin, special, exit } = language;
  const { command, cwd } = spec;
  const values = assignments(spec.env);
  const isBulk = typeof command === "string" && isLong(command);
  const said = `${builtin}printf "\\001$1 begun\\n"`;
  return [
    renewal,
    // PID 1 would end the machine: it is the parent where the worker has been killed.
    isLast ? `${builtin}test $PPID = 1||${builtin}kill -USR1 $PPID;` : "",
    cwd === null ? "" : changeFolder(cwd, language),
    isLong(values)
      ? `${takeBulk(values, language, bulk)}${special}eval "\\${special}export $__smolvm_l";${special}unset -v __smolvm_l;`
      : values && `${special}export ${assignments(spec.env, quote)};`,
    isBulk ? takeBulk(command, language, bulk) : "",
    // All that comes from the channel has been read.
    isEmpty(spec) ? `{ ${builtin}test -c /dev/null||${exit};} 2>&-;\\exec </dev/null||${exit};` : "",
    `${said};${said} >&2;>|"$7";`,
    bodyOf(command, isBulk, language),
  ].join("");
}

function bodyOf(command: CommandSpec["command"], isBulk: boolean, { special, evaluate }: Language): string {
  if (isBulk) return evaluate('"$__smolvm_l"', `${special}unset -v __smolvm_l;`);
  if (typeof command === "string") return evaluate(quote(command), "");
  // A name that begins with a dash would be an option of `exec`, and dash knows no `exec --`.
  const program = command[0]?.startsWith("-") ? ["env", "--", ...command] : command;
  return `\\exec ${program.map(quote).join(" ")}`;
}

/** With its path: the profile may have set another PATH. */
function takeBulk(text: string, { builtin, exit }: Language, bulk: Buffer[]): string {
  const { length, newlines } = addBulk(text, bulk);
  const read = `${builtin}${builtin.includes("command") ? "" : "command "}/bin/dd bs=${length} count=1 iflag=fullblock status=none`;
  return `{ __smolvm_l=$(${read})||${exit};} 2>&-;${newlines > 0 ? `__smolvm_l=$__smolvm_l${'"$6"'.repeat(newlines)};` : ""}`;
}

/**
 * A relative path counts from the home; $CDPATH is not searched, and a name such as "-" is a folder. A shell that may not note where it is
 * would say that it can't go there: it ends before, by what it can't set.
 */
function changeFolder(cwd: string, { builtin, special, exit, forgetFolder }: Language): string {
  const path = cwd.startsWith("/") ? quote(cwd) : `~/${quote(cwd)}`;
  const refuse = `${builtin}printf "\\001$1 cwd\\n" >&2`;
  return `{ PWD=$PWD OLDPWD=;} 2>&-;${builtin}cd ${path} 2>&-||${special}eval '${refuse};${exit}';${forgetFolder}`;
}

/** The shell has a newline as a parameter. */
function quote(text: string): string {
  return quoteOnOneLine(text, "$6");
}
