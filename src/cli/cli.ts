import { tameJson } from "../util/tame.ts";
import type { CommandEntry, CommandSpec, Outcome } from "./command.ts";
import { COMMANDS } from "./commands/table.ts";
import { describeFailure, type Failure, failureStatus, formatFailure, STATUS } from "./failure.ts";
import { type Parsed, parseCommandLine } from "./grammar.ts";
import { watchInterrupts } from "./interrupts.ts";
import type { Io } from "./io.ts";
import { openProgressLine } from "./progress.ts";
import { say } from "./say.ts";

/** Does what `argv` says and resolves to the exit status. Never rejects. */
export async function runCli(
  argv: readonly string[],
  io: Io,
  commands: Readonly<Record<string, CommandEntry>> = COMMANDS,
): Promise<number> {
  try {
    const parsed = await parseCommandLine(argv, commands, io.version());
    if (parsed.kind === "command") return await perform(parsed.spec, parsed, io);
    if (parsed.kind === "misuse") return reportMisuse(parsed, io);
    say(io.stdout, parsed.text);
    return 0;
  } catch (error) {
    return reportFailure(describeFailure(error), false, io);
  }
}

async function perform(spec: CommandSpec, parsed: Parsed & { kind: "command" }, io: Io): Promise<number> {
  const { json } = parsed;
  const interrupts = watchInterrupts(io);
  const progress = openProgressLine(io.stderr);
  try {
    const api = await io.loadApi();
    const context = { io, api, json, signal: interrupts.signal, progress };
    const outcome = await spec.act(parsed.operands, parsed.flags, context);
    progress.clear();
    const status = reportOutcome(outcome, json, io);
    await io.flush();
    return interrupts.status ?? status;
  } catch (error) {
    progress.clear();
    const failure = adviseOnMisuse(describeFailure(error), parsed.usage);
    // Someone who interrupts a command knows why it ended; that cleaning up failed on the way out, nobody knows.
    const isExpected = interrupts.status !== null && failure.code === "OPERATION_ABORTED";
    const status = isExpected && !json ? 0 : reportFailure(failure, json, io);
    return interrupts.status ?? status;
  } finally {
    interrupts.close();
  }
}

/** What was not written as it should be, and says no more about it. */
function adviseOnMisuse(failure: Failure, usage: string): Failure {
  const isMisuse = failureStatus(failure.code) === STATUS.misuse;
  return isMisuse && failure.remediation === null ? { ...failure, remediation: usage } : failure;
}

function reportOutcome({ status = 0, document, text }: Outcome, json: boolean, io: Io): number {
  if (json) io.stdout.write(formatDocument(document));
  else if (text !== "") say(io.stdout, text.endsWith("\n") ? text : `${text}\n`);
  return status;
}

function reportFailure(failure: Failure, json: boolean, io: Io): number {
  if (json) io.stdout.write(formatDocument({ error: failure }));
  else say(io.stderr, formatFailure(failure));
  return failureStatus(failure.code);
}

function reportMisuse({ message, help, json }: Parsed & { kind: "misuse" }, io: Io): number {
  const remediation = help === "" ? "Run with --help to see what there is." : help;
  if (json) io.stdout.write(formatDocument({ error: { code: "USAGE", message, remediation } }));
  else say(io.stderr, formatFailure({ code: "USAGE", message, remediation }));
  return STATUS.misuse;
}

function formatDocument(document: object): string {
  return `${tameJson(JSON.stringify(document, null, 2))}\n`;
}
