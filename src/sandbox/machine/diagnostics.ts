import { channel } from "node:diagnostics_channel";
import type { CommandResult } from "../../errors.ts";
import type { CommandSpec } from "../../ssh/spec/command-spec.ts";
import type { BootReport } from "../../state/machine-record.ts";
import type { Named } from "../../util/names.ts";
import type { MachineSpec } from "./spec.ts";
import type { StatusCell, StatusChange } from "./status.ts";

/** On "smolvm:status", for each change that a handle of this process sees. */
export interface StatusMessage extends StatusChange {
  readonly id: string;
  readonly name: string;
}

/** On "smolvm:boot", when a machine has come up that this process has started. */
export interface BootMessage {
  readonly id: string;
  readonly name: string;
  readonly report: BootReport;
}

/** On "smolvm:command:start", and the same object again on "smolvm:command:end", where it says how the command ended. */
export interface CommandMessage {
  readonly vmId: string;
  readonly command: CommandSpec["command"];
  readonly shell: CommandSpec["shell"];
  durationMs?: number;
  /** Null where there is no exit status: `error` says why. */
  exitCode?: number | null;
  signal?: string | null;
  error?: Error | null;
}

const STATUS = channel("smolvm:status");
const BOOT = channel("smolvm:boot");
const COMMAND_START = channel("smolvm:command:start");
const COMMAND_END = channel("smolvm:command:end");

export function traceStatus({ id, name }: MachineSpec, cell: StatusCell): void {
  cell.onChange((change) => {
    if (STATUS.hasSubscribers) STATUS.publish({ id, name, ...change } satisfies StatusMessage);
  });
}

export function traceBoot({ id, name }: MachineSpec, report: BootReport): void {
  if (BOOT.hasSubscribers) BOOT.publish({ id, name, report } satisfies BootMessage);
}

/** `begun` is the machine in which the command runs, once that is known: a command that never comes so far is told of by nobody. */
export function traceCommand(
  { command, shell }: Pick<CommandSpec, "command" | "shell">,
  begun: Promise<{ readonly vm: Named }>,
  result: Promise<CommandResult>,
): void {
  if (!COMMAND_START.hasSubscribers && !COMMAND_END.hasSubscribers) return;
  const startMs = performance.now();
  const end = (message: CommandMessage, how: Pick<CommandMessage, "exitCode" | "signal" | "error">) =>
    COMMAND_END.publish(Object.assign(message, { durationMs: performance.now() - startMs, ...how }));
  const tell = async () => {
    const { vm } = await begun;
    const message: CommandMessage = { vmId: vm.id, command, shell };
    COMMAND_START.publish(message);
    await result.then(
      ({ exitCode, signal }) => end(message, { exitCode, signal, error: null }),
      (error: Error) => end(message, { exitCode: null, signal: null, error }),
    );
  };
  void tell().catch(() => {}); // it never ran
}
