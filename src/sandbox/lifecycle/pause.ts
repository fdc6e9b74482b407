import { VMStateError } from "../../errors.ts";
import { bounded } from "../../util/bounded.ts";
import { bootedOf, type Machine } from "../machine/machine.ts";
import { ANSWER_MS, bringBack, lookAtQemu } from "../machine/run-state.ts";

/** As long as a copy may take. */
const COPY_MS = 120_000;
/** How long a guest that goes on may take to set its clock before it is taken to be right soon. */
const CLOCK_MS = 1_000;

/** Stops the guest's processors; its memory and its connections stand still. */
export async function pauseMachine(machine: Machine): Promise<void> {
  while (machine.copying) await copyEnds(machine.copying, machine);
  if (machine.status.phase === "paused") return;
  machine.status.require("pause", "running");
  const booted = bootedOf(machine, "pause");
  await booted.qemu.pause();
  await bounded(lookAtQemu(machine, booted), { operation: "Asking QEMU", timeoutMs: ANSWER_MS });
  requirePaused(machine);
}

/** Its status is QEMU's own word by now. */
function requirePaused({ spec, status }: Machine): void {
  if (status.phase === "paused") return;
  if (status.phase !== "running") throw status.refusal("pause");
  throw new VMStateError(`Machine "${spec.name}" was let go on at once when it had been paused.`, {
    remediation: "Look what else uses it, and pause it again.",
    details: { status: status.phase, operation: "pause", reason: "" },
  });
}

/** A machine that should run and stands still, by whatever it was stopped, goes on too. */
export async function resumeMachine(machine: Machine, leftMs?: () => number): Promise<void> {
  while (machine.copying) await copyEnds(machine.copying, machine);
  const { booted, status } = machine;
  if (status.phase !== "error" || booted === null) status.require("resume", "running", "paused");
  const up = bootedOf(machine, "resume");
  if (!(await bringBack(machine, up, leftMs))) throw status.refusal("resume");
  await up.qemu.clockSettled(CLOCK_MS);
}

/** Until then nothing else may change the state of its guest. The next one may have begun by the time at which this is told. */
async function copyEnds(copy: Promise<void>, { spec }: Machine): Promise<void> {
  const operation = `Waiting for the copy of machine "${spec.name}" that is under way`;
  await bounded(copy, { operation, timeoutMs: COPY_MS });
}
