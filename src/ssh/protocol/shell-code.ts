import { quoteOnOneLine, quoteText } from "../../util/quote.ts";
import { type CommandSpec, isEmpty } from "../spec/command-spec.ts";
import { addBulk, assignments, isLong } from "./bulk.ts";
import { waitingLine } from "./waiting-code.ts";

/** Who reads a command's line. */
interface Reader {
  /** "child" is the worker's own shell; the others were started by it ahead of time, and have read their profile. */
  readonly kind: "child" | "bash" | "posix";
  /** By which the line is told from one that came too late, to another shell. */
  readonly guard: string;
  /** The worker is to end after this command: what it leaves of its input must not be read as lines. */
  readonly isLast: boolean;
  /** A shell that waits is to say when it begins to run the script. */
  readonly saysBegun: boolean;
  /** What a shell that was started ahead of time has to be told before it is as good as new. */
  readonly renewal: string;
}

/** The command's line, and behind it what is too long for one; what follows is the command's own stdin. */
export function encodeCommand(spec: CommandSpec, reader: Reader): Buffer {
  const bulk: Buffer[] = [];
  const line =
    reader.kind === "child"
      ? `${reader.isLast ? "kill -USR1 $$;" : ""}${childCode(spec, { quote: quoteInChild, bulk })}`
      : `#${reader.guard} ${waitingLine(spec, { ...reader, kind: reader.kind, bulk })}`;
  return Buffer.concat([Buffer.from(`${line}\n`), ...bulk]);
}

/** The command as one piece of code for start.sh, for a terminal, where nothing is read from stdin. */
export function formatTerminalCode(spec: CommandSpec): string {
  return childCode(spec, { quote: quoteText, bulk: null });
}

/** A program of its own needs no shell but for the profile. */
export function needsShell(spec: CommandSpec): boolean {
  return typeof spec.command === "string" || spec.shell === "login" || spec.user !== null;
}

/** Linux allows 128 KiB for one word of a program's. */
const LONGEST_WORD = 100_000;

/** Whether anything follows the command's line: its own input, or what of it is too long for the line. */
export function hasInput(spec: CommandSpec): boolean {
  return !isEmpty(spec) || [textOf(spec.command), spec.cwd ?? "", assignments(spec.env)].some(isLong);
}

/** Whether a shell that waits can take it: of what comes behind the line it reads scripts and variables only. */
export function suitsWaiting({ command, cwd, user }: CommandSpec): boolean {
  return user === null && !isLong(cwd ?? "") && (typeof command === "string" || !isLong(textOf(command)));
}

function textOf(command: CommandSpec["command"]): string {
  return typeof command === "string" ? command : command.map(quoteText).join(" ");
}

type Quote = (text: string) => string;

/** A worker has a newline in a variable. */
const quoteInChild: Quote = (text) => quoteOnOneLine(text, "$nl");

/** How text is handed over: what is too long for a line goes to `bulk`, where there is one. */
interface Passage {
  readonly quote: Quote;
  readonly bulk: Buffer[] | null;
}

/** In a shell of ours: what it says is in src/guest/start.sh. */
function childCode(spec: CommandSpec, passage: Passage): string {
  const steps: string[] = [];
  const words = (texts: readonly string[]) => texts.map((text) => passWord(text, passage, steps)).join(" ");
  if (spec.user !== null) steps.push(`take_user ${passage.quote(spec.user)}`);
  if (spec.cwd !== null) steps.push(`folder=${words([spec.cwd])}`);
  const values = assignments(spec.env);
  if (values !== "") steps.push(`values=${words([values])}`);
  const body = startOf(spec, words, passage.bulk !== null);
  if (isEmpty(spec) && spec.terminal === null) steps.push("no_input");
  return [...steps, body].join(";");
}

function startOf(
  { command, shell, user, cwd, env }: CommandSpec,
  words: (texts: readonly string[]) => string,
  hasBulk: boolean,
): string {
  if (shell === "interactive") return "interactive";
  if (typeof command === "string") {
    const isPlain = hasBulk && user === null && cwd === null && assignments(env) === "" && !isLong(command);
    return `${isPlain ? "plain" : "script"} ${shell} ${words(piecesOf(command))}`;
  }
  const text = textOf(command);
  return hasBulk && isLong(text)
    ? `eval "program ${shell} "${words([text])}`
    : `program ${shell} ${words(command)}`;
}

/** One word; what is long is taken into a variable first. */
function passWord(text: string, { quote, bulk }: Passage, steps: string[]): string {
  if (bulk === null || !isLong(text)) return quote(text);
  const name = `p${bulk.length}`;
  const { length, newlines } = addBulk(text, bulk);
  steps.push(`${name}=$(take ${length})||exit`);
  return `"$${name}"${'"$nl"'.repeat(newlines)}`;
}

/** A script that is too long for one word; its characters stay whole. */
function piecesOf(script: string): string[] {
  const pieces: string[] = [];
  const most = Buffer.byteLength(script) === script.length ? LONGEST_WORD : LONGEST_WORD / 4;
  const characters = script.length <= most ? [script] : [...script];
  for (let at = 0; characters.length > 1 && at < characters.length; at += most)
    pieces.push(characters.slice(at, at + most).join(""));
  return pieces.length > 0 ? pieces : [script];
}
