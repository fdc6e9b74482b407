import { statePaths } from "../../state/paths.ts";
import { throwIfAborted } from "../../util/bounded.ts";
import { checkOptionKeys, parseSignal, refuse } from "../../util/options.ts";
import { throwHostTrouble } from "../machine/host-trouble.ts";
import { findLeftovers } from "./leftovers.ts";

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
  /** Why it is not needed; or, where it was left, what keeps that from being told. */
  readonly reason: string;
  readonly removed: boolean;
  /** True: it is left alone, because it can't be told whether somebody needs it. */
  readonly left: boolean;
  /** Why it could not be removed; null where it was, or nothing was tried. */
  readonly error: string | null;
}

export interface PruneReport {
  readonly items: readonly PrunedItem[];
  readonly freedBytes: number;
}

/**
 * Removes what programs that died left behind: ephemeral machines, processes, half-made files; and templates that nobody has used
 * for long. Nothing that lives and no persistent machine is touched; what may belong to a program in another container or on another host
 * is left, and named. What can't be removed says why, and the others go all the same.
 */
export async function prune(options: PruneOptions = {}): Promise<PruneReport> {
  checkOptionKeys(options, ["dryRun", "signal"], "prune()");
  const { dryRun = false } = options;
  if (typeof dryRun !== "boolean") throw refuse("dryRun", dryRun, "true or false");
  const signal = parseSignal(options.signal);
  const items: PrunedItem[] = [];
  for (const { remove, ...known } of await findLeftovers(statePaths()).catch(throwHostTrouble)) {
    throwIfAborted("Pruning", signal);
    const isTried = !dryRun && remove !== null;
    const error = isTried ? await failureOf(remove()) : null;
    items.push({ ...known, removed: isTried && error === null, left: remove === null, error });
  }
  const freedBytes = items.reduce((sum, { removed, sizeBytes }) => sum + (removed ? sizeBytes : 0), 0);
  return { items, freedBytes };
}

async function failureOf(removing: Promise<void>): Promise<string | null> {
  return removing.then(
    () => null,
    (error: Error) => error.message,
  );
}
