import { setTimeout as sleep } from "node:timers/promises";
import { OperationTimeoutError, SmolVMError } from "../../errors.ts";
import { isAlive, type ProcessIdentity } from "../../host/process-identity.ts";
import type { MachineSpec } from "../../state/machine-record.ts";
import { HolderGoneError } from "./connection.ts";

/** How soon it is looked again whether something is over. */
const LOOK_AGAIN_MS = 25;
/** A supervisor ends as soon as it has said goodbye. */
const END_MS = 5_000;

/** What the caller of a holder that says nothing, or no longer, deals with in another way. Throws all else. */
export function unlessSilent(error: Error): Error {
  const isSilence = error instanceof HolderGoneError || error instanceof OperationTimeoutError;
  if (!isSilence && Object(error).code !== "UNRESPONSIVE") throw error;
  return error;
}

/** How long what a look has found holds: the call that comes right after it does not wait for the same again. */
const UNTOLD_MS = 2_000;

/** That a holder says nothing, which no caller has been told of yet. */
export class UntoldSilence {
  #error: Error | null = null;
  #untilMs = 0;

  keep(error: Error | null): void {
    this.#error = error;
    this.#untilMs = performance.now() + UNTOLD_MS;
  }

  /** For one caller: the next one asks again. */
  take(): Error | null {
    const error = performance.now() < this.#untilMs ? this.#error : null;
    this.#error = null;
    return error;
  }
}

/** Not for ever. */
export async function waitForEnd(process: ProcessIdentity | null): Promise<void> {
  const endMs = performance.now() + END_MS;
  while (process && (await isAlive(process)) && performance.now() < endMs) await sleep(10);
}

/** Whether what may be over in a moment is over. */
export async function isSoonOver(look: () => Promise<boolean>, mostMs = END_MS): Promise<boolean> {
  for (const endMs = performance.now() + mostMs; !(await look()); await sleep(LOOK_AGAIN_MS))
    if (performance.now() > endMs) return false;
  return true;
}

/** A machine that runs, and nobody answers for it at its socket. */
export function unreachedError({ name }: MachineSpec): SmolVMError {
  return new SmolVMError(
    "UNRESPONSIVE",
    `Machine "${name}" may still run, and the process that holds it can't be reached.`,
    {
      remediation: `See how it stands: smolvm inspect ${name}`,
      details: { isHolder: true },
    },
  );
}
