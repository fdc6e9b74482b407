import { decodeHostKey } from "../../ssh/openssh/keys.ts";
import type { MachineRecord } from "../../state/machine-record.ts";
import { type MachinePaths, type StatePaths, statePaths } from "../../state/paths.ts";
import type { SavedMachine } from "../../state/snapshots.ts";
import { guardLogger } from "../machine/callbacks.ts";
import { traceStatus } from "../machine/diagnostics.ts";
import type { Machine } from "../machine/machine.ts";
import { newMachineId } from "../machine/machine-id.ts";
import type { Logger, SmolVMOptions } from "../machine/options.ts";
import { RecordKeeper } from "../machine/record-keeper.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { StatusCell } from "../machine/status.ts";

/** A machine that exists in this process only, until its first start. */
export function newMachine(
  spec: MachineSpec,
  options: Pick<SmolVMOptions, "onProgress" | "signal" | "logger">,
  origin: SavedMachine | null,
): Machine {
  const { onProgress, signal, logger } = options;
  return recorded({
    spec,
    state: statePaths(),
    status: new StatusCell(spec.name),
    surroundings: {
      logger: guardLogger(logger),
      ...(onProgress && { onProgress }),
      ...(signal && { signal }),
    },
    createdAt: new Date().toISOString(),
    machineId: newMachineId(),
    hostKey: null,
    wasBooted: false,
    folder: null,
    held: null,
    origin,
  });
}

/** A machine of which there is a folder already, in the process that is to hold it. */
export function recordedMachine(
  state: StatePaths,
  folder: MachinePaths,
  record: MachineRecord,
  logger: Logger,
): Machine {
  const { spec, createdAt, machineId, hostKey, wasBooted, held } = record;
  const status = new StatusCell(spec.name);
  const { phase, reason, since } = record.status;
  // The process that held it while it ran is gone.
  const isAtRest = phase === "created" || phase === "stopped" || phase === "error";
  if (isAtRest) status.follow(phase, reason, since);
  else if (wasBooted) status.follow("error", "the process that held it ended", since);
  return recorded({
    ...{ spec, state, status, createdAt, machineId, wasBooted, folder, held },
    surroundings: { logger },
    hostKey: hostKey === null ? null : decodeHostKey(hostKey),
    origin: null,
  });
}

type Known = Omit<
  Machine,
  | "records"
  | "owner"
  | "booted"
  | "unended"
  | "launched"
  | "starting"
  | "abortStart"
  | "stopping"
  | "copying"
  | "removing"
>;

function recorded(known: Known): Machine {
  const machine: Machine = {
    ...known,
    records: new RecordKeeper(),
    owner: null,
    booted: null,
    unended: null,
    launched: null,
    starting: null,
    abortStart: null,
    stopping: null,
    copying: null,
    removing: null,
  };
  machine.status.onChange(() => machine.records.note(machine));
  traceStatus(machine.spec, machine.status);
  return machine;
}
