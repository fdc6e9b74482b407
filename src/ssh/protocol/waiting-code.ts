// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code

import { quoteOnOneLine, quoteText } from "../../util/quote.ts";
import { type CommandSpec, isEmpty } from "../spec/command-spec.ts";
import { addBulk, assignments, isLong } from "./bulk.ts";

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
  readonly saysBegun: boolean;
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
}

const LANGUAGES: Readonly<Record<WaitingLanguage, Language>> = {
  bash: {
    builtin: "\\builtin ",
    special: "\\builtin ",
    exit: "{ ${__smolvm?};} 2>&-", // ends a shell without a command
    forgetFolder: "\\builtin unset -v OLDPWD;\\builtin export OLDPWD;",
  },
  posix: {
    builtin: "\\command ",
    special: "\\",
    exit: "{ \\trap - EXIT;\\exit;}",
    forgetFolder: "\\unset OLDPWD;",
  },
};

/** What a shell that waits reads: letters and a script, see src/guest/worker.sh for both. `bulk` gets what is too long for the line. */
export function waitingLine(spec: CommandSpec, { kind, saysBegun, ...rest }: Waiting): string {
  const { command } = spec;
  const letters = `-${saysBegun ? "b" : ""}${isEmpty(spec) ? "e" : ""}`;
  const code = preparations(spec, LANGUAGES[kind], rest);
  const script = typeof command === "string" ? command : programCode(command);
  if (code === "" && fitsLine(script)) return `${letters} ${script}`;
  const last = isLong(script) ? takeBulk(script, LANGUAGES[kind], rest.bulk) : `__smolvm_l=${quote(script)}`;
  return `${letters}c ${code}${last}`;
}

/** As it is: the shell's `read` takes blanks off both ends. */
function fitsLine(script: string): boolean {
  return !isLong(script) && !/^ |\n| $/.test(script);
}

function preparations(
  { cwd, env }: CommandSpec,
  language: Language,
  { isLast, renewal, bulk }: Omit<Waiting, "kind" | "saysBegun">,
): string {
  const { builtin, special } = language;
  const values = assignments(env);
  return [
    // PID 1 would end the machine: it is the parent where the worker has been killed.
    quietly(renewal, isLast ? `${builtin}test $PPID = 1||${builtin}kill -USR1 $PPID;` : ""),
    cwd === null ? "" : changeFolder(cwd, language),
    isLong(values)
      ? quietly(takeBulk(values, language, bulk), `${special}eval "\\${special}export $__smolvm_l";`)
      : quietly(values && `${special}export ${assignments(env, quote)};`),
  ].join("");
}

/** What a profile has made readonly is not to be told of on the command's stderr. */
function quietly(...steps: readonly string[]): string {
  const code = steps.join("");
  return code && `{ ${code}} 2>&-;`;
}

/** A name that begins with a dash would be an option of `exec`, and dash knows no `exec --`. */
function programCode(command: readonly string[]): string {
  const words = command[0]?.startsWith("-") ? ["env", "--", ...command] : command;
  return `\\exec ${words.map(quoteText).join(" ")}`;
}

/** With its path: the profile may have set another PATH. */
function takeBulk(text: string, { builtin, exit }: Language, bulk: Buffer[]): string {
  const { length, newlines } = addBulk(text, bulk);
  const read = `${builtin}${builtin.includes("command") ? "" : "command "}/bin/dd bs=${length} count=1 iflag=fullblock status=none <&7`;
  return `{ __smolvm_l=$(${read})||${exit};} 2>&-;${newlines > 0 ? `__smolvm_l=$__smolvm_l${'"$5"'.repeat(newlines)};` : ""}`;
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
  return quoteOnOneLine(text, "$5");
}
