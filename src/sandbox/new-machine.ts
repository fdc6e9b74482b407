import { randomBytes } from "node:crypto";
import { statePaths } from "../state/paths.ts";
import type { SavedMachine } from "../state/snapshots.ts";
import type { Machine } from "./machine.ts";
import type { SmolVMOptions, VMConfig } from "./options.ts";
import { parseSpec } from "./spec.ts";
import { StatusCell } from "./status.ts";

const origins = new WeakMap<object, SavedMachine>();

/** The very options: a machine that is made with them goes on with what was saved. */
export function withOrigin(
  options: SmolVMOptions | VMConfig,
  origin: SavedMachine,
): SmolVMOptions | VMConfig {
  origins.set(options, origin);
  return options;
}

/** A machine that exists in this process only. */
export function newMachine(options: SmolVMOptions | VMConfig = {}): Machine {
  const spec = parseSpec(options);
  const { onProgress, signal, logger = {} } = options;
  return {
    spec,
    state: statePaths(),
    status: new StatusCell(spec.name),
    surroundings: { logger, ...(onProgress && { onProgress }), ...(signal && { signal }) },
    folder: null,
    origin: origins.get(options) ?? null,
    machineId: randomBytes(16).toString("hex"),
    hostKey: null,
    booted: null,
    starting: null,
    abortStart: null,
    stopping: null,
    copying: null,
    removing: null,
  };
}
