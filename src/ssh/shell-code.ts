import { readGuestScript } from "./guest-scripts.ts";
import { quoteOnOneLine, quoteText } from "./quote.ts";
import type { CommandSpec } from "./spec.ts";

/** Who reads a command's line. */
export interface Reader {
  /** "child" is the worker's own shell; the others were started by it, ahead of time or with the same write. */
  readonly kind: "child" | "login" | "raw";
  /** By which the line is told from one that came too late, to another shell. */
  readonly guard: string;
  readonly token: string;
  /** The worker is to end after this command: what it leaves of its input must not be read as lines. */
  readonly isLast: boolean;
}

/** What a worker's child is told so that it becomes the shell that this command needs; "" where none is needed. */
export function formatStart(spec: CommandSpec, { guard, token, isLast }: Reader): string {
  if (!needsShell(spec)) return "";
  const last = isLast ? "kill -USR1 $$;" : "";
  if (spec.user === null) return `${last}${spec.shell} ${guard}\n`;
  const settings = formatAssignments(
    { user: spec.user, kind: spec.shell, guard, token, code: "" },
    quoteText,
  );
  return `${last}__n=$nl;${settings.join(";")};eval ${quoteOnOneLine(readGuestScript("exec-user"))}\n`;
}

/** A program of its own needs no shell but for the profile. */
export function needsShell(spec: CommandSpec): boolean {
  return typeof spec.command === "string" || spec.shell === "login" || spec.user !== null;
}

/**
 * What is written to the shell that waits for the command; what follows is the command's own stdin. `renewal` is null where that
 * shell was not started ahead of time, else what it has to be told before it is as good as new.
 */
export function encodeCommand(spec: CommandSpec, reader: Reader, renewal: string | null): Buffer {
  const bulk: Buffer[] = [];
  const isChild = reader.kind === "child";
  const [home, folder, variables] = surroundings(spec, reader.token, quoteOnOneLine);
  const body = bodyOf(spec, quoteOnOneLine, isChild);
  const steps = [
    renewal ?? "",
    isChild ? home : "", // the others are there already
    reader.isLast && (isChild || renewal !== null) ? `kill -USR1 ${isChild ? "$$" : "$PPID"};` : "",
    folder,
    isLong(variables)
      ? `eval ${readBulk(exportVariables(spec.env, quoteText), reader.token, bulk)};`
      : variables,
    isLong(body) ? bulkBody(spec, reader.token, bulk) : body,
    // Applied when the words before it have been expanded: what they read comes from the channel still.
    isEmpty(spec) ? " </dev/null" : "",
  ].join("");
  const newline = isChild && steps.includes("$__n") ? "__n=$nl;" : "";
  const address = isChild ? "" : `#${reader.guard} `;
  return Buffer.concat([Buffer.from(`${address}${newline}${steps}\n`), ...bulk]);
}

function isEmpty({ stdin }: CommandSpec): boolean {
  return stdin.kind === "bytes" && stdin.bytes.length === 0;
}

/** The command as one piece of shell code, for a terminal, where nothing is read from stdin. */
export function formatTerminalCode(spec: CommandSpec, token: string): string {
  const body = spec.shell === "interactive" ? 'exec "$SHELL" -l' : bodyOf(spec, quoteText);
  const code = `set --;${surroundings(spec, token, quoteText).join("")}${body}`;
  if (spec.user === null) return code;
  const settings = { user: spec.user, kind: spec.shell, nl: "\n", guard: "", token, code };
  return `${formatAssignments(settings, quoteText).join(";")}\n${readGuestScript("exec-user")}`;
}

/** The words by which the guest says that a command never ran, after the command's token. */
export const NEVER_RAN = ["gone", "cwd", "user unknown", "user denied"] as const;
export type NeverRan = (typeof NEVER_RAN)[number];

/**
 * A shell reads its line byte by byte, 6 µs each where the CPU is emulated. What is long comes behind the line instead,
 * and is taken by a process (about 8 ms) that reads just that many bytes.
 */
const LONGEST_ON_LINE = 1500;

function isLong(code: string): boolean {
  return code.length > LONGEST_ON_LINE;
}

/** Whether anything follows the command's line: its own input, or what of it is too long for the line. */
export function hasInput(spec: CommandSpec): boolean {
  return (
    !isEmpty(spec) ||
    isLong(exportVariables(spec.env, quoteOnOneLine)) ||
    isLong(bodyOf(spec, quoteOnOneLine))
  );
}

function readBulk(code: string, token: string, bulk: Buffer[]): string {
  const bytes = Buffer.from(code);
  bulk.push(bytes);
  // Command substitution takes newlines off the end, where they can matter behind a backslash.
  const newlines = '"$__n"'.repeat(/\n*$/.exec(code)?.[0].length ?? 0);
  const gone = `printf "\\001${token} gone\\n">&2;exit 1`;
  return `"$(dd bs=${bytes.length} count=1 iflag=fullblock 2>/dev/null||echo '${gone}')"${newlines}`;
}

function bulkBody(spec: CommandSpec, token: string, bulk: Buffer[]): string {
  if (typeof spec.command === "string") return `${scriptRunner(spec)} ${readBulk(spec.command, token, bulk)}`;
  return `eval ${readBulk(execWords(spec.command, quoteText), token, bulk)}`;
}

type Quote = (text: string) => string;

function bodyOf(spec: CommandSpec, quote: Quote, isChild = false): string {
  if (typeof spec.command === "string") return `${scriptRunner(spec)} ${quote(spec.command)}`;
  return execWords(spec.command, quote, isChild);
}

/** `__r` is set where the login shell is not a POSIX one: it gets the script whole. */
function scriptRunner(spec: CommandSpec): string {
  return spec.shell === "login" && spec.terminal === null ? `\${__r-eval}` : "eval";
}

/** A name that begins with a dash would be an option of `exec`, and dash knows no `exec --`. */
function execWords(argv: readonly string[], quote: Quote, isChild = false): string {
  const session = isChild ? " $session" : "";
  const program = argv[0]?.startsWith("-") ? " env --" : "";
  return `exec${session}${program} ${argv.map(quote).join(" ")}`;
}

/** All that is set up before the command itself: home, folder, variables. */
function surroundings(spec: CommandSpec, token: string, quote: Quote): [string, string, string] {
  // Only where a profile, or a home replaced meanwhile, made it necessary: `cd` leaves $OLDPWD behind.
  const home = "[ . -ef ~ ]||cd 2>/dev/null||cd /;";
  return [home, changeFolder(spec.cwd, token, quote), exportVariables(spec.env, quote)];
}

/** A relative path gets a dot in front: a name such as "-" is a folder then, and $CDPATH is not searched. */
function changeFolder(cwd: string | null, token: string, quote: Quote): string {
  if (cwd === null) return "";
  const path = cwd.startsWith("/") ? cwd : `./${cwd}`;
  return `cd ${quote(path)} 2>/dev/null||{ printf '\\001${token} cwd\\n'>&2;exit 1;};`;
}

function exportVariables(env: Readonly<Record<string, string>>, quote: Quote): string {
  const assignments = formatAssignments(env, quote);
  return assignments.length === 0 ? "" : `export ${assignments.join(" ")};`;
}

function formatAssignments(variables: Readonly<Record<string, string>>, quote: Quote): string[] {
  return Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
}
