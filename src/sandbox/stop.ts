import { rm } from "node:fs/promises";
import { SmolVMError } from "../errors.ts";
import { removeMachineFolder } from "../state/machine-folder.ts";
import { parseDurationMs } from "../util/duration.ts";
import { checkOptionKeys } from "../util/options.ts";
import type { Machine } from "./machine.ts";
import type { StopOptions } from "./options.ts";

const DEFAULT_TIMEOUT_SECONDS = 10;

/** Shuts the guest down and keeps its disk. A machine that isn't running is left as it is. */
export async function stopMachine(machine: Machine, options: StopOptions = {}, reason = ""): Promise<void> {
  const timeoutMs = parseStop(options);
  await machine.starting;
  await machine.copying;
  if (machine.stopping) return machine.stopping;
  if (machine.status.phase === "created" || machine.status.phase === "stopped") return;
  if (machine.status.phase === "error") return machine.status.change("stopped", "stop");
  machine.status.require("stop", "running", "paused");
  if (machine.status.phase === "paused") await machine.booted?.qemu.resume();
  machine.status.change("stopping", "stop");
  machine.stopping = shutDown(machine, timeoutMs, reason).finally(() => {
    machine.stopping = null;
  });
  return machine.stopping;
}

/** ValidationError; how long the guest may take, in milliseconds. */
export function parseStop(options: StopOptions): number {
  checkOptionKeys(options, ["timeout"], "stop()");
  return parseDurationMs(options.timeout ?? DEFAULT_TIMEOUT_SECONDS, "timeout");
}

/** Ends the machine, whatever it does, and removes all that belongs to it. Twice is fine. */
export async function removeMachine(machine: Machine, reason = ""): Promise<void> {
  machine.removing ??= removeOnce(machine, reason);
  return machine.removing;
}

async function shutDown(machine: Machine, timeoutMs: number, reason: string): Promise<void> {
  const { booted } = machine;
  machine.booted = null;
  try {
    await booted?.runner?.close();
    await booted?.qemu.shutdown({ timeoutMs });
    if (machine.folder) await rm(machine.folder.sshConfig, { force: true }); // nobody listens there any more
    machine.status.change("stopped", "stop", reason);
  } catch (error) {
    machine.status.change("error", "stop", (error as Error).message);
    throw error;
  }
}

async function removeOnce(machine: Machine, reason: string): Promise<void> {
  machine.abortStart?.(
    new SmolVMError("DELETED", `Machine "${machine.spec.name}" was deleted while it started.`),
  );
  await Promise.allSettled([machine.starting, machine.stopping]);
  const { booted, folder } = machine;
  machine.booted = null;
  machine.status.change("deleted", "delete", reason);
  // The process goes first, so that commands under way learn that the machine is gone.
  await booted?.qemu.kill();
  await booted?.runner?.close();
  await machine.copying;
  await machine.records.close();
  if (folder) await removeMachineFolder(machine.state, folder);
  machine.folder = null;
}
