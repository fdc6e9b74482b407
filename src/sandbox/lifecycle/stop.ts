import { rm } from "node:fs/promises";
import { OperationTimeoutError, SmolVMError } from "../../errors.ts";
import { removeMachineFolder } from "../../state/machine-folder.ts";
import { bounded } from "../../util/bounded.ts";
import { parseStop } from "../machine/call-options.ts";
import type { Machine } from "../machine/machine.ts";
import type { StopOptions } from "../machine/options.ts";

const SIGN_OF_LIFE_MS = 1_000;
/** Of the time for the guest, its connections have this part to end well. */
const CLOSING_PART = 0.5;

/** Shuts the guest down and keeps its disk. A machine that isn't running is left as it is. */
export async function stopMachine(machine: Machine, options: StopOptions = {}, reason = ""): Promise<void> {
  const timeoutMs = parseStop(options);
  await machine.starting;
  let guestMs = timeoutMs;
  while (machine.copying) {
    if (await copyEnds(machine.copying, machine, timeoutMs)) continue;
    guestMs = 1; // it has been waited for
    break;
  }
  if (machine.stopping) return machine.stopping;
  const { phase } = machine.status;
  if (phase === "created" || phase === "stopped") return;
  if (phase === "error" && !machine.booted && !machine.unended)
    return machine.status.change("stopped", "stop");
  machine.status.require("stop", "running", "paused", "error");
  machine.status.change("stopping", "stop");
  if (phase !== "running") void machine.booted?.qemu.resume().catch(() => {}); // its connections are to end well
  machine.stopping = shutDown(machine, guestMs, reason).finally(() => {
    machine.stopping = null;
  });
  return machine.stopping;
}

/** False where it is not to be waited for any more: it takes long, and its QEMU does not answer. */
async function copyEnds(copy: Promise<void>, { booted }: Machine, timeoutMs: number): Promise<boolean> {
  const isOver = await bounded(copy, { operation: "Waiting for a copy", timeoutMs }).then(
    () => true,
    () => false,
  );
  return isOver || (await booted?.qemu.answers(SIGN_OF_LIFE_MS)) === true;
}

/** Nothing may be made of a machine's files while a QEMU may still have them. */
export async function endUnended(machine: Machine): Promise<void> {
  const { unended } = machine;
  await unended?.qemu.kill();
  if (machine.unended === unended) machine.unended = null;
}

/** Ends the machine, whatever it does, and removes all that belongs to it. Twice is fine. */
export async function removeMachine(machine: Machine, reason = ""): Promise<void> {
  machine.removing ??= removeOnce(machine, reason).catch((error) => {
    machine.removing = null; // it can be tried again
    throw error;
  });
  return machine.removing;
}

async function shutDown(machine: Machine, timeoutMs: number, reason: string): Promise<void> {
  const booted = machine.booted ?? machine.unended;
  machine.booted = null;
  machine.unended = null;
  try {
    const deadlineMs = performance.now() + timeoutMs;
    await closeInTime(booted?.runner?.close(), timeoutMs * CLOSING_PART);
    await booted?.qemu.shutdown({ timeoutMs: Math.max(1, deadlineMs - performance.now()) });
    if (machine.folder) await rm(machine.folder.sshConfig, { force: true }).catch(() => {}); // nobody listens there any more
    machine.status.change("stopped", "stop", reason);
  } catch (error) {
    machine.unended = booted;
    machine.status.change("error", "stop", (error as Error).message);
    throw error;
  }
}

/** A guest that stands still hears nothing of it; what is left open ends with QEMU. */
async function closeInTime(closing: Promise<void> | undefined, timeoutMs: number): Promise<void> {
  if (closing) await bounded(closing, { operation: "Closing connections", timeoutMs }).catch(unlessLate);
}

function unlessLate(error: unknown): void {
  if (!(error instanceof OperationTimeoutError)) throw error;
}

async function removeOnce(machine: Machine, reason: string): Promise<void> {
  machine.abortStart?.(
    new SmolVMError("DELETED", `Machine "${machine.spec.name}" was deleted while it started.`),
  );
  await Promise.allSettled([machine.starting, machine.stopping]);
  const { booted, folder } = machine;
  if (machine.status.phase !== "deleted") machine.status.change("deleted", "delete", reason);
  // The process goes first, so that commands under way learn that the machine is gone; and no file before it is proved to be.
  await booted?.qemu.kill();
  machine.booted = null;
  await endUnended(machine);
  await booted?.runner?.close();
  await machine.copying;
  await machine.records.close();
  if (folder) await removeMachineFolder(folder);
  machine.folder = null;
}
