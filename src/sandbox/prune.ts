import { OperationAbortedError, SmolVMError } from "../errors.ts";
import { statePaths } from "../state/paths.ts";
import { checkOptionKeys, refuse } from "../util/options.ts";
import { findLeftovers, type Leftover } from "./leftovers.ts";
import { parseSignal } from "./run-options.ts";

export interface PruneOptions {
  /** True: nothing is removed. */
  dryRun?: boolean;
  signal?: AbortSignal;
}

export interface PrunedItem {
  /** For example "machine" or "process". */
  readonly kind: string;
  readonly name: string;
  readonly path: string | null;
  readonly sizeBytes: number;
  /** Why nobody needs it. */
  readonly reason: string;
  readonly removed: boolean;
}

export interface PruneReport {
  readonly items: readonly PrunedItem[];
  readonly freedBytes: number;
}

/**
 * Removes what programs that died left behind: ephemeral machines, processes, half-made files; and templates that nobody has used
 * for long. Nothing that lives and no persistent machine is touched. SmolVMError "PRUNE" where something could not be removed.
 */
export async function prune(options: PruneOptions = {}): Promise<PruneReport> {
  checkOptionKeys(options, ["dryRun", "signal"], "prune()");
  const { dryRun = false } = options;
  if (typeof dryRun !== "boolean") throw refuse("dryRun", dryRun, "true or false");
  const signal = parseSignal(options.signal);
  const items: PrunedItem[] = [];
  const failures: Error[] = [];
  for (const leftover of await findLeftovers(statePaths())) {
    if (signal?.aborted) throw new OperationAbortedError("Pruning", undefined, { cause: signal.reason });
    const failure = dryRun ? null : await tryToRemove(leftover);
    if (failure) failures.push(failure);
    const { remove: _, ...item } = leftover;
    items.push({ ...item, removed: !dryRun && failure === null });
  }
  if (failures.length > 0) throw pruneError(failures);
  const freedBytes = items.reduce((sum, { removed, sizeBytes }) => sum + (removed ? sizeBytes : 0), 0);
  return { items, freedBytes };
}

async function tryToRemove(leftover: Leftover): Promise<Error | null> {
  return leftover.remove().then(
    () => null,
    (error: Error) => new Error(`${leftover.kind} ${leftover.name}: ${error.message}`, { cause: error }),
  );
}

function pruneError(failures: readonly Error[]): SmolVMError {
  const what = failures.map(({ message }) => message).join("; ");
  return new SmolVMError("PRUNE", `Not everything could be removed: ${what}.`, {
    remediation: "Check who owns the files, and that their disk can be written to.",
    cause: failures[0],
  });
}
