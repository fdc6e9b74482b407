import { setTimeout as sleep } from "node:timers/promises";
import { OperationTimeoutError, SmolVMError } from "../../errors.ts";
import { isAlive, type ProcessIdentity } from "../../host/process-identity.ts";
import type { MachineRecord } from "../../state/machine-record.ts";
import { HolderGoneError } from "./connection.ts";

/** How soon it is looked again whether something is over. */
export const LOOK_AGAIN_MS = 25;
/** A supervisor ends as soon as it has said goodbye. */
export const END_MS = 5_000;

/** What the caller of a holder that says nothing, or no longer, deals with in another way. Throws all else. */
export function unlessSilent(error: unknown): void {
  const isSilence = error instanceof HolderGoneError || error instanceof OperationTimeoutError;
  if (!isSilence && Object(error).code !== "UNRESPONSIVE") throw error;
}

/** Not for ever. */
export async function waitForEnd(process: ProcessIdentity | null): Promise<void> {
  const endMs = performance.now() + END_MS;
  while (process && (await isAlive(process)) && performance.now() < endMs) await sleep(10);
}

/** Whether what may be over in a moment is over. */
export async function isSoonOver(look: () => Promise<boolean>): Promise<boolean> {
  for (const endMs = performance.now() + END_MS; !(await look()); await sleep(LOOK_AGAIN_MS))
    if (performance.now() > endMs) return false;
  return true;
}

/** A machine that runs, and nobody answers for it at its socket. */
export function unreachedError({ spec }: MachineRecord): SmolVMError {
  return new SmolVMError(
    "UNRESPONSIVE",
    `Machine "${spec.name}" may still run, and the process that holds it can't be reached.`,
    {
      remediation: `See how it stands: smolvm inspect ${spec.name}`,
      details: { isHolder: true },
    },
  );
}
