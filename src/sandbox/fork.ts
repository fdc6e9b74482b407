import { availableParallelism } from "node:os";
import { Queue } from "../ssh/queue.ts";
import { discardDraftFolder } from "../state/draft-folder.ts";
import { parseDurationMs } from "../util/duration.ts";
import { parseName } from "../util/names.ts";
import { checkOptionKeys, refuse } from "../util/options.ts";
import type { Handle } from "./handle.ts";
import type { SmolVMOptions, StartOptions, VMConfig } from "./options.ts";
import { parseSignal } from "./run-options.ts";
import { COPY_TIMEOUT_SECONDS, type CopyCallOptions, optionsOf } from "./snapshots.ts";

export interface ForkOptions extends CopyCallOptions {
  /** How many: 1 by default, 1 to 64. */
  count?: number;
  /** What the one is called; several are called name-1, name-2 … Absent: readable generated names. */
  name?: string;
  /** Whether they outlive this program: as their source does by default. */
  persistent?: boolean;
}

/** What is needed of a copy before it is handed out. */
interface Fork {
  start(options: StartOptions): Promise<unknown>;
  delete(): Promise<void>;
}

const MOST_FORKS = 64;

/** All of them or none: the first error is thrown, and what had been made is deleted. */
export async function forkMachine<T extends Fork>(
  source: Handle,
  options: ForkOptions = {},
  make: (options: SmolVMOptions | VMConfig) => T,
): Promise<T[]> {
  checkOptionKeys(options, ["count", "name", "persistent", "timeout", "signal"], "fork()");
  const names = namesOf(options);
  const timeoutMs = parseDurationMs(options.timeout ?? COPY_TIMEOUT_SECONDS, "timeout");
  const signal = parseSignal(options.signal) ?? undefined;
  const { logger, spec } = source;
  const { persistent = spec.persistent } = options;
  const saved = await source.copy("fork", { timeoutMs, signal });
  try {
    const forks = names.map((name) =>
      make(optionsOf(saved, { logger, persistent, ...(name !== undefined && { name }) })),
    );
    await startAll(forks, signal);
    return forks;
  } finally {
    await discardDraftFolder(saved.paths.folder);
  }
}

async function startAll(forks: readonly Fork[], signal: AbortSignal | undefined): Promise<void> {
  const failed = new AbortController();
  const both = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const turns = new Queue(availableParallelism());
  let first: { readonly error: unknown } | null = null;
  const startOne = async (fork: Fork) => {
    let leave = () => {};
    try {
      leave = await turns.enter(both);
      await fork.start({ signal: both });
    } catch (error) {
      first ??= { error };
      failed.abort(error);
    } finally {
      leave();
    }
  };
  await Promise.all(forks.map(startOne));
  if (first === null) return;
  await Promise.allSettled(forks.map((fork) => fork.delete()));
  throw (first as { readonly error: unknown }).error;
}

function namesOf({ count = 1, name }: ForkOptions): (string | undefined)[] {
  if (!Number.isInteger(count) || count < 1 || count > MOST_FORKS)
    throw refuse("count", count, `a whole number from 1 to ${MOST_FORKS}`);
  if (name === undefined) return Array.from({ length: count }, () => undefined);
  if (count === 1) return [parseName(name)];
  return Array.from({ length: count }, (_, index) => parseName(`${parseName(name)}-${index + 1}`));
}
