import { setTimeout as sleep } from "node:timers/promises";
import { OperationTimeoutError } from "../../errors.ts";
import { isAlive, type ProcessIdentity } from "../../host/process-identity.ts";
import { HolderGoneError } from "./connection.ts";

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
