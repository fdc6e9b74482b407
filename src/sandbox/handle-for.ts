import { type MachineRecord, RECORD_FORMAT } from "../state/machine-record.ts";
import { newMachine } from "./holder/new-machine.ts";
import { ownMachine } from "./holder/own-machine.ts";
import type { Handle } from "./machine/handle.ts";
import { newMachineId } from "./machine/machine-id.ts";
import type { SmolVMOptions, VMConfig } from "./machine/options.ts";
import { type MachineSpec, parseSpec } from "./machine/spec.ts";
import { RemoteMachine } from "./remote/machine.ts";
import { originOf } from "./snapshot/origins.ts";

const handles = new WeakMap<object, Handle>();

/** Options with which the public class takes over a machine that there is already. */
export function optionsForHandle(handle: Handle): SmolVMOptions {
  const options = {};
  handles.set(options, handle);
  return options;
}

/** Whether the machine was made by this handle, and so goes with its scope. */
export interface NewHandle {
  readonly handle: Handle;
  readonly isMaker: boolean;
}

/** Checks the options; allocates nothing, boots nothing. */
export function handleFor(options: SmolVMOptions | VMConfig = {}): NewHandle {
  const existing = handles.get(options);
  if (existing) return { handle: existing, isMaker: false };
  const spec = parseSpec(options);
  const origin = originOf(options);
  if (!spec.persistent) return { handle: ownMachine(newMachine(spec, options, origin)), isMaker: true };
  return {
    handle: new RemoteMachine(firstRecord(spec), null, { surroundings: options, origin }),
    isMaker: true,
  };
}

function firstRecord(spec: MachineSpec): MachineRecord {
  const now = new Date().toISOString();
  return {
    formatVersion: RECORD_FORMAT,
    createdAt: now,
    spec,
    machineId: newMachineId(),
    hostKey: null,
    wasBooted: false,
    held: null,
    status: { phase: "created", reason: "", since: now },
    owner: null,
    boot: null,
  };
}
