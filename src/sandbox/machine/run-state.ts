import { SmolVMError } from "../../errors.ts";
import { bounded } from "../../util/bounded.ts";
import type { Booted, Machine } from "./machine.ts";
import type { VMStatus } from "./status.ts";

/** What QEMU's own word decides about. In "error" it is one that lives, and whose guest was stopped by an error. */
const FOLLOWS: readonly string[] = ["running", "paused", "error"];
/** How long a QEMU that is to do something at once may keep silent. */
export const ANSWER_MS = 30_000;
const SIGN_OF_LIFE_MS = 10_000;

/** From now on the machine's status is what QEMU says, also where something else stops its guest or lets it go on, and its clock is the host's. */
export function followQemu(machine: Machine, booted: Booted): void {
  const { qemu, setup } = booted;
  qemu.onRunChange(() => void lookAtQemu(machine, booted).catch(() => {})); // its end is told elsewhere
  if (!setup.files.startsSsh) return;
  // Copies of the guest hear what it has not yet read: they must not take it for their own time.
  qemu.keepClock((kind) => {
    const isUp = machine.booted === booted && machine.stopping === null;
    return isUp && (kind === "compare" || machine.copying === null);
  });
}

/** Takes over how QEMU says that its guest stands. A copy stops it for a moment: that is not told. */
export async function lookAtQemu(machine: Machine, booted: Booted): Promise<void> {
  const { state, word } = await booted.qemu.runState();
  const { status } = machine;
  if (machine.booted !== booted || machine.copying || !FOLLOWS.includes(status.phase)) return;
  const phase: VMStatus = state === "failed" ? "error" : state;
  if (phase !== status.phase) status.change(phase, "run", state === "failed" ? whyFailed(word) : "");
}

/**
 * Lets the guest go on, where QEMU says that it does not. False where it can't: the status says why. SmolVMError "UNRESPONSIVE", at the
 * latest when the caller has no time left.
 */
export async function bringBack(
  machine: Machine,
  booted: Booted,
  leftMs: () => number = () => SIGN_OF_LIFE_MS,
): Promise<boolean> {
  const { qemu } = booted;
  const answered = <T>(answer: Promise<T>) => inTime(machine, answer, Math.min(SIGN_OF_LIFE_MS, leftMs()));
  const { state } = await answered(qemu.runState());
  if (state !== "running") await answered(qemu.resume().catch(unlessRefused));
  await answered(lookAtQemu(machine, booted));
  return machine.status.phase === "running";
}

async function inTime<T>({ spec }: Machine, answer: Promise<T>, timeoutMs: number): Promise<T> {
  const bounds = { operation: "Asking QEMU", timeoutMs };
  return bounded(answer, bounds).catch((cause) => {
    throw new SmolVMError("UNRESPONSIVE", `The QEMU of machine "${spec.name}" does not answer.`, {
      cause,
      remediation: `Look whether it was stopped by a signal (smolvm inspect ${spec.name}), or end it: smolvm stop ${spec.name}`,
    });
  });
}

function unlessRefused(error: unknown): void {
  if (Object(error).phase !== "command") throw error;
}

function whyFailed(word: string): string {
  return `QEMU has stopped its guest: ${word}`;
}
