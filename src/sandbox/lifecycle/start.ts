import { rm } from "node:fs/promises";
import { OperationAbortedError, OperationTimeoutError } from "../../errors.ts";
import type { LaunchedProcess } from "../../qemu/machine.ts";
import { removeDisk } from "../../state/disk-layers.ts";
import { removeMachineFolder } from "../../state/machine-folder.ts";
import { bounded } from "../../util/bounded.ts";
import { parseStart, type StartBounds } from "../machine/call-options.ts";
import { ProgressGuard } from "../machine/callbacks.ts";
import { traceBoot } from "../machine/diagnostics.ts";
import { type Booted, isUnended, type Machine } from "../machine/machine.ts";
import type { StartOptions } from "../machine/options.ts";
import { bringBack, followQemu } from "../machine/run-state.ts";
import { collectLeftovers } from "../upkeep/leftovers.ts";
import { bootMachine } from "./boot.ts";
import { watchLifetime } from "./limits.ts";
import { resumeMachine } from "./pause.ts";
import { endUnended } from "./stop.ts";

/** What is late by itself says more of it than that the time is over. */
const GRACE_MS = 250;

/**
 * Boots the machine. Running: nothing to do; paused: resumes; starting: waits for the start that is under way. `spentMs` of its time are
 * over already.
 */
export async function startMachine(machine: Machine, options: StartOptions = {}, spentMs = 0): Promise<void> {
  const parsed = parseStart(options, machine.surroundings);
  const sinceMs = parsed.sinceMs - spentMs;
  const leftMs = () => Math.max(1, sinceMs + parsed.timeoutMs - performance.now());
  const operation = `Starting machine "${machine.spec.name}"`;
  // One that was aborted before is the creation's, which is over.
  const signal = AbortSignal.any(parsed.signals.filter(({ aborted }) => !aborted));
  const inOwnTime = <T>(work: Promise<T>) =>
    bounded(work, { operation, timeoutMs: leftMs() + GRACE_MS, namedMs: parsed.timeoutMs, signal });
  if (machine.booted && (await inOwnTime(ensureUp(machine, machine.booted, leftMs)))) return;
  if (machine.unended) await inOwnTime(endUnended(machine));
  if (machine.starting) return inOwnTime(machine.starting);
  machine.status.change("starting", "start");
  machine.starting = startOnce(machine, options, { ...parsed, sinceMs }).finally(() => {
    machine.starting = null;
  });
  return machine.starting;
}

/** A guest that stands still goes on. One that can't is ended, so that it can be booted again: false. */
async function ensureUp(machine: Machine, booted: Booted, leftMs: () => number): Promise<boolean> {
  const { phase } = machine.status;
  if (phase === "paused") await resumeMachine(machine, leftMs);
  else if (phase === "error" || !machine.copying) await bringBack(machine, booted, leftMs);
  if (machine.status.phase === "error") {
    machine.booted = null;
    machine.unended = booted;
    await endUnended(machine);
    await booted.runner?.close();
  }
  return ["running", "paused"].includes(machine.status.phase);
}

async function startOnce(
  machine: Machine,
  options: StartOptions,
  { timeoutMs, sinceMs, signals }: StartBounds,
): Promise<void> {
  const isFirst = !machine.wasBooted;
  const abort = new AbortController();
  machine.abortStart = (reason) => abort.abort(reason);
  const progress = new ProgressGuard(options.onProgress ?? machine.surroundings.onProgress);
  const signal = AbortSignal.any([abort.signal, progress.signal, ...signals]);
  try {
    throwIfAborted(signal);
    if (isFirst && machine.folder) await clear(machine); // of a first start whose QEMU could not be ended then
    machine.launched = null;
    collectLeftovers(machine.state);
    const booted = await bootMachine(machine, {
      signal,
      timeoutMs,
      sinceMs,
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
    if (isUnended(machine.launched)) keepUnended(machine, machine.launched);
    else await unwind(machine, isFirst);
    const wasAborted = signal.aborted && !(error instanceof OperationTimeoutError);
    throw progress.explain(wasAborted ? abortedError(machine, signal) : error);
  } finally {
    machine.abortStart = null;
  }
}

/** A first start that failed leaves nothing; a later one leaves the disk. */
async function unwind(machine: Machine, isFirst: boolean): Promise<void> {
  if (isFirst) await removeFolder(machine);
  machine.status.change(isFirst ? "created" : "stopped", "start");
}

/** So that a first start begins from nothing. What a supervisor is found by lies in the folder, and stays. */
async function clear(machine: Machine): Promise<void> {
  const { folder, spec } = machine;
  if (!spec.persistent) return removeFolder(machine);
  machine.held = null;
  if (!folder) return;
  await removeDisk(folder.folder);
  await rm(folder.initramfs, { force: true });
}

async function removeFolder(machine: Machine): Promise<void> {
  const { folder, spec, surroundings } = machine;
  if (!folder) return;
  machine.folder = null;
  machine.held = null;
  await machine.records.settled();
  await removeMachineFolder(folder).catch((error) =>
    surroundings.logger.warn?.(`The folder of "${spec.name}" could not be removed: ${error}`),
  );
}

/** Nothing is removed while QEMU may still have it: the next start, stop or removal ends it first. */
function keepUnended(machine: Machine, process: LaunchedProcess): void {
  const { pid } = process;
  const end = () => process.kill();
  const qemu = { pid, sshPort: null, kill: end, shutdown: end };
  machine.unended = { qemu, runner: null, hostKey: null, limits: null, report: null };
  machine.status.change("error", "start", `its QEMU (pid ${pid}) could not be ended`);
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
