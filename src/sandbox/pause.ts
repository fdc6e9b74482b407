import type { VMStateError } from "../errors.ts";
import type { Booted, Machine } from "./machine.ts";

/** Stops the guest's processors; its memory, its connections and its clock stand still. */
export async function pauseMachine(machine: Machine): Promise<void> {
  await machine.copying;
  if (machine.status.phase === "paused") return;
  machine.status.require("pause", "running");
  await bootedOf(machine, "pause").qemu.pause();
  machine.status.change("paused", "pause");
}

export async function resumeMachine(machine: Machine): Promise<void> {
  await machine.copying;
  if (machine.status.phase === "running") return;
  machine.status.require("resume", "paused");
  await bootedOf(machine, "resume").qemu.resume();
  machine.status.change("running", "resume");
}

/** The running QEMU and what belongs to it; VMStateError where there is none. */
export function bootedOf(machine: Machine, verb: string): Booted {
  if (machine.booted) return machine.booted;
  throw machine.status.refusal(verb) satisfies VMStateError;
}
