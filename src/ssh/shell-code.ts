import { readGuestScript } from "./guest-scripts.ts";
import { quoteOnOneLine, quoteText } from "./quote.ts";
import type { CommandSpec } from "./spec.ts";

/** What is written to the shell that waits for a command; what follows is the command's own stdin. */
export function encodeCommand(spec: CommandSpec, token: string): Buffer {
  const bulk: Buffer[] = [];
  const steps = [...userStep(spec, token), ...ownSteps(spec, token, bulk)];
  return Buffer.concat([Buffer.from(steps.join("")), Buffer.from("\n"), ...bulk]);
}

/** The command as one piece of shell code, for a terminal, where nothing is read from stdin. */
export function formatTerminalCode(spec: CommandSpec, token: string): string {
  const body = spec.shell === "interactive" ? 'exec "$SHELL" -l' : bodyOf(spec, quoteText);
  const code = `set --;${surroundings(spec, token, quoteText).join("")}${body}`;
  if (spec.user === null) return code;
  const settings = { user: spec.user, kind: spec.shell, nl: "\n", token, code };
  return `${formatAssignments(settings, quoteText).join(";")}\n${readGuestScript("exec-user")}`;
}

/** The words by which the guest says that a command never ran, after the command's token. */
export const NEVER_RAN = ["gone", "cwd", "user unknown", "user denied"] as const;
export type NeverRan = (typeof NEVER_RAN)[number];

/** Another user takes a line of its own: the shell that it starts reads the next one. */
function userStep(spec: CommandSpec, token: string): string[] {
  if (spec.user === null) return [];
  const settings = { user: spec.user, kind: spec.shell, token, code: "" };
  const code = quoteOnOneLine(readGuestScript("exec-user"));
  return [`nl=$1;__n=$1;${formatAssignments(settings, quoteText).join(";")};eval ${code}\n`];
}

function ownSteps(spec: CommandSpec, token: string, bulk: Buffer[]): string[] {
  const [home, folder, variables] = surroundings(spec, token, quoteOnOneLine);
  const body = bodyOf(spec, quoteOnOneLine);
  const steps = [
    "set --;unset __l;",
    home,
    folder,
    isLong(variables) ? `eval ${readBulk(exportVariables(spec.env, quoteText), bulk)};` : variables,
    isLong(body) ? bulkBody(spec, bulk) : body,
  ];
  const needsNewline = steps.some((step) => step.includes("$__n"));
  return needsNewline ? ["__n=$1;", ...steps] : steps;
}

/**
 * A shell reads its line byte by byte, 6 µs each where the CPU is emulated. What is long comes behind the line instead,
 * and is taken by a process (about 8 ms) that reads just that many bytes.
 */
const LONGEST_ON_LINE = 1500;

function isLong(code: string): boolean {
  return code.length > LONGEST_ON_LINE;
}

function readBulk(code: string, bulk: Buffer[]): string {
  const bytes = Buffer.from(code);
  bulk.push(bytes);
  // Command substitution takes newlines off the end, where they can matter behind a backslash.
  const newlines = '"$__n"'.repeat(/\n*$/.exec(code)?.[0].length ?? 0);
  return `"$(dd bs=${bytes.length} count=1 iflag=fullblock 2>/dev/null)"${newlines}`;
}

function bulkBody(spec: CommandSpec, bulk: Buffer[]): string {
  if (typeof spec.command === "string") return `${scriptRunner(spec)} ${readBulk(spec.command, bulk)}`;
  return `eval ${readBulk(execWords(spec.command, quoteText), bulk)}`;
}

type Quote = (text: string) => string;

function bodyOf(spec: CommandSpec, quote: Quote): string {
  if (typeof spec.command === "string") return `${scriptRunner(spec)} ${quote(spec.command)}`;
  return execWords(spec.command, quote);
}

/** `__r` is set where the login shell is not a POSIX one: it gets the script whole. */
function scriptRunner(spec: CommandSpec): string {
  return spec.shell === "login" && spec.terminal === null ? `\${__r-eval}` : "eval";
}

/** A name that begins with a dash would be an option of `exec`, and dash knows no `exec --`. */
function execWords(argv: readonly string[], quote: Quote): string {
  const program = argv[0]?.startsWith("-") ? "exec env --" : "exec";
  return `${program} ${argv.map(quote).join(" ")}`;
}

/** All that is set up before the command itself: home, folder, variables. */
function surroundings(spec: CommandSpec, token: string, quote: Quote): [string, string, string] {
  // Only where a profile, or a home replaced meanwhile, made it necessary: `cd` leaves $OLDPWD behind.
  const home = "[ . -ef ~ ]||cd 2>/dev/null;";
  return [home, changeFolder(spec.cwd, token, quote), exportVariables(spec.env, quote)];
}

/** A relative path gets a dot in front: a name such as "-" is a folder then, and $CDPATH is not searched. */
function changeFolder(cwd: string | null, token: string, quote: Quote): string {
  if (cwd === null) return "";
  const path = cwd.startsWith("/") ? cwd : `./${cwd}`;
  return `cd ${quote(path)} 2>/dev/null||{ echo '${token} cwd'>&2;exit 1;};`;
}

function exportVariables(env: Readonly<Record<string, string>>, quote: Quote): string {
  const assignments = formatAssignments(env, quote);
  return assignments.length === 0 ? "" : `export ${assignments.join(" ")};`;
}

function formatAssignments(variables: Readonly<Record<string, string>>, quote: Quote): string[] {
  return Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
}
