import { OperationAbortedError, OperationTimeoutError } from "../errors.ts";
import { removeMachineFolder } from "../state/machine-folder.ts";
import { parseDurationMs } from "../util/duration.ts";
import { checkOptionKeys, refuse } from "../util/options.ts";
import { bootMachine } from "./boot.ts";
import { ProgressGuard } from "./callbacks.ts";
import { traceBoot } from "./diagnostics.ts";
import { collectLeftovers } from "./leftovers.ts";
import { watchLifetime } from "./limits.ts";
import type { Booted, Machine } from "./machine.ts";
import type { SmolVMOptions, StartOptions } from "./options.ts";
import { resumeMachine } from "./pause.ts";
import { parseSignal } from "./run-options.ts";
import { bringBack, followQemu } from "./run-state.ts";
import { endUnended } from "./stop.ts";

const DEFAULT_TIMEOUT_SECONDS = 120;

/** Boots the machine. Running: nothing to do; paused: resumes; starting: waits for the start that is under way. */
export async function startMachine(machine: Machine, options: StartOptions = {}): Promise<void> {
  const { timeoutMs, signals } = parseStart(options, machine.surroundings);
  if (machine.booted && (await ensureUp(machine, machine.booted))) return;
  if (machine.unended) await endUnended(machine);
  if (machine.starting) return machine.starting;
  machine.status.change("starting", "start");
  machine.starting = startOnce(machine, options, timeoutMs, signals).finally(() => {
    machine.starting = null;
  });
  return machine.starting;
}

/** A guest that stands still goes on. One that can't is ended, so that it can be booted again: false. */
async function ensureUp(machine: Machine, booted: Booted): Promise<boolean> {
  const { phase } = machine.status;
  if (phase === "paused") await resumeMachine(machine);
  else if (phase === "error" || !machine.copying) await bringBack(machine, booted);
  if (machine.status.phase === "error") {
    machine.booted = null;
    machine.unended = booted;
    await endUnended(machine);
    await booted.runner?.close();
  }
  return ["running", "paused"].includes(machine.status.phase);
}

/** ValidationError; what ends a start besides its time. */
export function parseStart(
  options: StartOptions,
  surroundings: Pick<SmolVMOptions, "signal">,
): { readonly timeoutMs: number; readonly signals: AbortSignal[] } {
  checkOptionKeys(options, ["timeout", "onProgress", "signal"], "start()");
  if (options.onProgress !== undefined && typeof options.onProgress !== "function")
    throw refuse("onProgress", options.onProgress, "a function");
  const timeoutMs = parseDurationMs(options.timeout ?? DEFAULT_TIMEOUT_SECONDS, "timeout");
  const signals = [surroundings.signal, parseSignal(options.signal)].filter(
    (each) => each instanceof AbortSignal,
  );
  return { timeoutMs, signals };
}

async function startOnce(
  machine: Machine,
  options: StartOptions,
  timeoutMs: number,
  signals: readonly AbortSignal[],
): Promise<void> {
  const isFirst = !machine.wasBooted;
  const abort = new AbortController();
  machine.abortStart = (reason) => abort.abort(reason);
  const progress = new ProgressGuard(options.onProgress ?? machine.surroundings.onProgress);
  const signal = AbortSignal.any([abort.signal, progress.signal, ...signals]);
  try {
    throwIfAborted(signal);
    collectLeftovers(machine.state);
    const booted = await bootMachine(machine, {
      signal,
      timeoutMs,
      onProgress: progress.report,
    });
    machine.booted = booted;
    machine.wasBooted = true;
    machine.status.change("running", "start");
    traceBoot(machine.spec, booted.report);
    watchForDeath(machine, booted);
    followQemu(machine, booted);
    watchLifetime(machine, booted);
  } catch (error) {
    await unwind(machine, isFirst);
    const wasAborted = signal.aborted && !(error instanceof OperationTimeoutError);
    throw progress.explain(wasAborted ? abortedError(machine, signal) : error);
  } finally {
    machine.abortStart = null;
  }
}

/** A first start that failed leaves nothing; a later one leaves the disk. */
async function unwind(machine: Machine, isFirst: boolean): Promise<void> {
  if (isFirst && machine.folder) {
    const { folder } = machine;
    machine.folder = null;
    machine.held = null;
    await machine.records.settled();
    await removeMachineFolder(folder).catch((error) =>
      machine.surroundings.logger.warn?.(
        `The folder of "${machine.spec.name}" could not be removed: ${error}`,
      ),
    );
  }
  machine.status.change(isFirst ? "created" : "stopped", "start");
}

/** Its commands hear of it by themselves, and why. */
function watchForDeath(machine: Machine, booted: Booted): void {
  void booted.qemu.exited.then(async (exit) => {
    if (machine.booted === booted) {
      machine.booted = null;
      const { phase } = machine.status;
      if (phase === "running" || phase === "paused") machine.status.change("error", "run", exit.reason);
    }
    await booted.limits?.remove();
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
