import { OperationAbortedError, OperationTimeoutError } from "../errors.ts";
import { collectAbandoned, removeMachineFolder } from "../state/machine-folder.ts";
import { collectDrafts } from "../state/snapshots.ts";
import { parseDurationMs } from "../util/duration.ts";
import { checkOptionKeys } from "../util/options.ts";
import { bootMachine } from "./boot.ts";
import type { Booted, Machine } from "./machine.ts";
import type { StartOptions } from "./options.ts";
import { resumeMachine } from "./pause.ts";

const DEFAULT_TIMEOUT_SECONDS = 120;

/** Boots the machine. Running: nothing to do; paused: resumes; starting: waits for the start that is under way. */
export async function startMachine(machine: Machine, options: StartOptions = {}): Promise<void> {
  checkOptionKeys(options, ["timeout", "onProgress", "signal"], "start()");
  const timeoutMs = parseDurationMs(options.timeout ?? DEFAULT_TIMEOUT_SECONDS, "timeout");
  if (machine.status.phase === "running") return;
  if (machine.status.phase === "paused") return resumeMachine(machine);
  if (machine.starting) return machine.starting;
  machine.status.change("starting", "start");
  machine.starting = startOnce(machine, options, timeoutMs).finally(() => {
    machine.starting = null;
  });
  return machine.starting;
}

async function startOnce(machine: Machine, options: StartOptions, timeoutMs: number): Promise<void> {
  const isFirst = machine.folder === null;
  const abort = new AbortController();
  machine.abortStart = (reason) => abort.abort(reason);
  const signals = [abort.signal, machine.surroundings.signal, options.signal].filter((s) => s !== undefined);
  const signal = AbortSignal.any(signals);
  try {
    throwIfAborted(signal);
    void collectAbandoned(machine.state).catch(() => undefined);
    void collectDrafts(machine.state).catch(() => undefined);
    const booted = await bootMachine(machine, {
      signal,
      timeoutMs,
      onProgress: options.onProgress ?? machine.surroundings.onProgress,
    });
    machine.booted = booted;
    machine.status.change("running", "start");
    watchForDeath(machine, booted);
  } catch (error) {
    await unwind(machine, isFirst);
    throw signal.aborted && !(error instanceof OperationTimeoutError) ? abortedError(machine, signal) : error;
  } finally {
    machine.abortStart = null;
  }
}

/** A first start that failed leaves nothing; a later one leaves the disk. */
async function unwind(machine: Machine, isFirst: boolean): Promise<void> {
  if (isFirst && machine.folder) {
    await removeMachineFolder(machine.folder).catch((error) =>
      machine.surroundings.logger.warn?.(
        `The folder of "${machine.spec.name}" could not be removed: ${error}`,
      ),
    );
    machine.folder = null;
  }
  machine.status.change(isFirst ? "created" : "stopped", "start");
}

function watchForDeath(machine: Machine, booted: Booted): void {
  void booted.qemu.exited.then(async (exit) => {
    if (machine.booted !== booted) return;
    machine.booted = null;
    if (machine.status.phase === "running" || machine.status.phase === "paused") {
      machine.status.change("error", "run", exit.reason);
    }
    await booted.runner?.close();
  });
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw signal.reason;
}

function abortedError(machine: Machine, signal: AbortSignal): OperationAbortedError {
  return new OperationAbortedError(`Starting machine "${machine.spec.name}"`, undefined, {
    cause: signal.reason,
  });
}
