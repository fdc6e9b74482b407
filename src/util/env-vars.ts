import { execBytes, MOST_EXEC_BYTES, MOST_WORD_BYTES } from "./exec-limits.ts";
import { refuse } from "./options.ts";
import { copyStringMap, isStringMap, type StringMap } from "./string-map.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Names that bash holds as read-only (an assignment is an error in each later command), and those whose assignment it ignores. */
const OWNED_BY_BASH = new Set(
  "BASHOPTS BASH_VERSINFO EUID PPID SHELLOPTS UID BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_CMDS BASH_COMMAND BASH_LINENO BASH_SOURCE BASH_SUBSHELL DIRSTACK EPOCHREALTIME EPOCHSECONDS FUNCNAME GROUPS HISTCMD LINENO RANDOM SECONDS SRANDOM _".split(
    " ",
  ),
);

/** What is ours in a command's shell, until it begins. */
const OURS = /^__smolvm/;

/** A checked copy of `vars`; ValidationError names the variable that no shell could hold, or that Linux would not pass on. */
export function checkEnvVars(vars: unknown, option: string): StringMap {
  if (!isStringMap(vars)) throw refuseMap(vars, option);
  for (const [name, value] of Object.entries(vars)) {
    checkEnvName(name, option);
    if (OWNED_BY_BASH.has(name))
      throw refuse(
        `a name in ${option}`,
        name,
        "one that bash does not set itself (UID, EUID, PPID, SHELLOPTS, …)",
      );
    if (OURS.test(name))
      throw refuse(`a name in ${option}`, name, "one that does not begin with __smolvm, as smolvm's own do");
    if (value.includes("\0")) throw refuse(`${option}.${name}`, value, "a string without NUL characters");
    if (!isWellFormed(value))
      throw refuse(`${option}.${name}`, value, "Unicode text, without half of a surrogate pair");
    if (Buffer.byteLength(value) + name.length + 2 > MOST_WORD_BYTES)
      throw refuse(
        `${option}.${name}`,
        value,
        `at most ${MOST_WORD_BYTES} bytes with its name, "=" and an end: Linux passes no more to a program`,
      );
  }
  checkEnvSize(vars, option);
  return copyStringMap(vars);
}

/** ValidationError where all of them together would let every program fail to start. */
export function checkEnvSize(vars: StringMap, option: string): void {
  const bytes = execBytes([], vars);
  if (bytes > MOST_EXEC_BYTES)
    throw refuse(
      option,
      vars,
      `at most ${MOST_EXEC_BYTES} bytes together, where these come to ${bytes}: Linux passes no more to a program`,
    );
}

/** ValidationError unless `name` is a letter or _ followed by letters, digits and _. */
export function checkEnvName(name: unknown, option: string): asserts name is string {
  if (typeof name === "string" && NAME.test(name)) return;
  throw refuse(`a name in ${option}`, name, "letters, digits and _, not beginning with a digit");
}

function refuseMap(vars: unknown, option: string): Error {
  const entries =
    Object.prototype.toString.call(vars) === "[object Object]" ? Object.entries(vars as object) : [];
  for (const [name, value] of entries) {
    checkEnvName(name, option);
    if (typeof value !== "string") return refuse(`${option}.${name}`, value, "a string");
  }
  return refuse(option, vars, "an object of names and string values");
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
