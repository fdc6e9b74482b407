import { SmolVMError } from "../../errors.ts";
import { readProcessFigures } from "../../host/process-figures.ts";
import { isAlive, type ProcessIdentity } from "../../host/process-identity.ts";
import { findMachine, isBad } from "../../state/machine-folder.ts";
import type { MachineRecord } from "../../state/machine-record.ts";
import type { StatePaths } from "../../state/paths.ts";
import type { MachineSpec } from "./spec.ts";

/** The machine that was called. */
interface Called {
  readonly state: StatePaths;
  readonly spec: MachineSpec;
}

/** What a call to a machine ends with of which somebody keeps silent. */
const SILENCES: ReadonlySet<string> = new Set(["OPERATION_TIMEOUT", "UNRESPONSIVE", "SAVE"]);

/**
 * The same error. Where one that the machine needs does nothing because a signal has stopped it, the error says so, and what lets that
 * one go on.
 */
export async function tellStandstill(error: unknown, called: Called): Promise<unknown> {
  if (!(error instanceof SmolVMError) || !SILENCES.has(error.code)) return error;
  const record = await findRecord(called).catch(() => null);
  const stopped = record && (await findStopped(record).catch(() => null));
  if (!stopped) return record === null ? error : await tellHolder(error, record);
  const { who, pid } = stopped;
  return Object.assign(error, {
    message: withWords(error.message, `: ${who} (pid ${pid}) stands still by a signal`),
    remediation: `kill -CONT ${pid}`,
  });
}

/** Whether a signal keeps the process from doing anything: there is no use in asking it. */
export async function isStopped(process: ProcessIdentity | null): Promise<boolean> {
  if (process === null || !(await isAlive(process))) return false;
  return (await readProcessFigures(process.pid).catch(() => undefined))?.isStopped ?? false;
}

/** The process that answers for a machine, as a person calls it. */
export function holderOf({ persistent }: Pick<MachineSpec, "persistent">): string {
  return persistent ? "its supervisor" : "the process that made it";
}

/** Of a holder that is awake and does not answer: which process it is, and how the machine is had back. */
async function tellHolder(error: SmolVMError, { spec, owner }: MachineRecord): Promise<SmolVMError> {
  if (!Object(error.details).isHolder || owner === null || !(await isAlive(owner))) return error;
  const { pid } = owner;
  return Object.assign(error, {
    message: withWords(error.message, ` (pid ${pid})`),
    remediation: remedyForHolder(spec, pid),
  });
}

/** Before its full stop, where it has one. */
function withWords(message: string, words: string): string {
  return message.replace(/(\.?)$/, (end) => `${words}${end}`);
}

/** A supervisor that is told to end shuts its guest down; where it can't, its guardian ends QEMU. */
function remedyForHolder({ persistent, name }: MachineSpec, pid: number): string {
  return persistent
    ? `End it, which shuts the guest down: kill ${pid}, or kill -KILL ${pid} where it does nothing. Then: smolvm start ${name}`
    : `End that process, and the machine goes with it: kill ${pid}`;
}

async function findRecord({ state, spec }: Called): Promise<MachineRecord | null> {
  const record = (await findMachine(state, spec.name))?.record;
  return !record || isBad(record) || record.spec.id !== spec.id ? null : record;
}

async function findStopped({ spec, owner, boot }: MachineRecord) {
  if (owner && (await isStopped(owner))) return { who: holderOf(spec), pid: owner.pid };
  if (boot && (await isStopped(boot.qemu))) return { who: "its QEMU", pid: boot.qemu.pid };
  return null;
}
