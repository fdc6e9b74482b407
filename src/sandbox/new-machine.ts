import { randomBytes } from "node:crypto";
import { statePaths } from "../state/paths.ts";
import type { Machine } from "./machine.ts";
import type { SmolVMOptions, VMConfig } from "./options.ts";
import { parseSpec } from "./spec.ts";
import { StatusCell } from "./status.ts";

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
    machineId: randomBytes(16).toString("hex"),
    hostKey: null,
    booted: null,
    starting: null,
    abortStart: null,
    stopping: null,
    removing: null,
  };
}
