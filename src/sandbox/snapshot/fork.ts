import { availableParallelism } from "node:os";
import { OperationAbortedError } from "../../errors.ts";
import { discardDraftFolder } from "../../state/draft-folder.ts";
import { bounded } from "../../util/bounded.ts";
import { type Duration, parseDurationMs } from "../../util/duration.ts";
import { parseName } from "../../util/names.ts";
import { checkOptionKeys, parseSignal, refuse } from "../../util/options.ts";
import { Queue } from "../../util/queue.ts";
import { inTime, type SharedTime, type TimedBounds } from "../boot/in-time.ts";
import { COPY_TIMEOUT_SECONDS } from "../machine/call-options.ts";
import type { Handle } from "../machine/handle.ts";
import type { CopyCallOptions, Logger, SmolVMOptions, StartOptions, VMConfig } from "../machine/options.ts";
import { optionsOf } from "./snapshots.ts";

export interface ForkOptions extends CopyCallOptions {
  /** How many: 1 by default, 1 to 64. */
  count?: number;
  /** What the one is called; several are called name-1, name-2 … Absent: readable generated names. */
  name?: string;
  /** Whether they outlive this program: as their source does by default. */
  persistent?: boolean;
  /** How long it may take from the call until all of them run, the copy and each one's start together: 120 s by default, 5 s more for each one more. */
  timeout?: Duration;
}

/** What is needed of a copy before it is handed out. */
interface Fork {
  start(options: StartOptions): Promise<unknown>;
  delete(): Promise<void>;
}

const MOST_FORKS = 64;
/** Some five times what one more takes under emulation on a processor of its own. */
const SECONDS_FOR_EACH = 5;
/** How long the caller of forks that can't be had waits until those are removed that were made. */
const REMOVAL_MS = 30_000;

/** All of them or none: the first error is thrown, and what had been made is deleted. */
export async function forkMachine<T extends Fork>(
  source: Handle,
  options: ForkOptions = {},
  make: (options: SmolVMOptions | VMConfig) => T,
): Promise<T[]> {
  checkOptionKeys(options, ["count", "name", "persistent", "timeout", "signal"], "fork()");
  const names = namesOf(options);
  const timeoutMs = parseDurationMs(options.timeout ?? defaultSeconds(names.length), "timeout");
  const signal = parseSignal(options.signal) ?? undefined;
  const { logger, spec } = source;
  const { persistent = spec.persistent } = options;
  const sinceMs = performance.now();
  const saved = await source.copy("fork", { timeoutMs, signal });
  try {
    const forks = names.map((name) =>
      make(optionsOf(saved, { logger, persistent, ...(name !== undefined && { name }) })),
    );
    const operation = `Starting the forks of machine "${spec.name}"`;
    await startAll(forks, logger, { operation, timeoutMs, sinceMs, signal });
    return forks;
  } finally {
    await discardDraftFolder(saved.paths.folder);
  }
}

async function startAll(forks: readonly Fork[], logger: Logger, bounds: TimedBounds): Promise<void> {
  const turns = new Queue(availableParallelism());
  const failed = new AbortController();
  let starts: readonly Promise<void>[] = [];
  const startOne = async (fork: Fork, { signal, leftMs }: Pick<SharedTime, "signal" | "leftMs">) => {
    const leave = await turns.enter(signal).catch((cause) => {
      throw new OperationAbortedError(bounds.operation, undefined, { cause });
    });
    try {
      await fork.start({ signal, timeout: Math.ceil(leftMs()) / 1000 });
    } finally {
      leave();
    }
  };
  try {
    await inTime(bounds, async ({ signal, leftMs }) => {
      const time = { signal: AbortSignal.any([signal, failed.signal]), leftMs };
      starts = forks.map((fork) => startOne(fork, time));
      await Promise.all(starts);
    });
  } catch (error) {
    failed.abort(error);
    await removeAll(forks, starts, logger);
    throw error;
  }
}

/** Where that takes long, it goes on in the background. Never rejects. */
async function removeAll(
  forks: readonly Fork[],
  starts: readonly Promise<void>[],
  { warn = () => {} }: Logger,
): Promise<void> {
  const removeEnded = async (fork: Fork, index: number) => {
    await Promise.allSettled([starts[index]]);
    await fork.delete().catch((error) => warn(`A fork was not removed whole: ${error}`));
  };
  const removing = Promise.all(forks.map(removeEnded));
  await bounded(removing, { operation: "Removing the forks", timeoutMs: REMOVAL_MS }).catch((error) =>
    warn(String(error)),
  );
}

function defaultSeconds(count: number): number {
  return COPY_TIMEOUT_SECONDS + (count - 1) * SECONDS_FOR_EACH;
}

function namesOf({ count = 1, name }: ForkOptions): (string | undefined)[] {
  if (!Number.isInteger(count) || count < 1 || count > MOST_FORKS)
    throw refuse("count", count, `a whole number from 1 to ${MOST_FORKS}`);
  if (name === undefined) return Array.from({ length: count }, () => undefined);
  if (count === 1) return [parseName(name)];
  return Array.from({ length: count }, (_, index) => parseName(`${parseName(name)}-${index + 1}`));
}
