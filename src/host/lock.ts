import { createHash, randomUUID } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { link, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OperationAbortedError, SmolVMError } from "../errors.ts";
import { quoteText } from "../util/quote.ts";
import { identify, probeSocket } from "./local-socket.ts";
import { type Claim, type Holding, judgeClaim, makeClaim } from "./lock-claim.ts";
import { isLink, NoFileError } from "./no-file.ts";
import { DEAD, type ProcessIdentity, unknown } from "./process-identity.ts";
import { MOST_LINES_BYTES, readText } from "./read-file.ts";

export interface LockOptions {
  /** What an abort is called in the error, for example "Waiting for another process to build the image". */
  readonly operation: string;
  /** Called once when somebody else holds it. */
  readonly onWait?: (holder: ProcessIdentity) => void;
  readonly signal?: AbortSignal | undefined;
}

type Release = () => Promise<void>;

/** Most locks are held for a moment only; those that are not are looked at more and more seldom. */
const FIRST_RETRY_MS = 5;
const LAST_RETRY_MS = 200;
/** How long a lock is waited for if it is not known whether its holder lives: most let go within this. */
const UNCLEAR_MS = 5_000;
/** Far longer than one attempt takes. */
const TRYING_MS = 10_000;
/** How often who does not wait tries: several find a dead holder at once, and one of them is the next one. */
const ATTEMPTS = 5;

/**
 * Waits until this process alone holds `path`, then returns what lets go of it. A lock dies with its holder: the file tells which
 * process that is. SmolVMError "LOCK_UNCLEAR" if it is not known whether that process lives: no lock is ever taken twice.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<Release> {
  const claim = await makeClaim(path);
  try {
    return letGoOf(path, claim, await waitForTurn(path, claim, options));
  } catch (error) {
    await claim.withdraw();
    throw error;
  }
}

/** The same, but undefined where somebody else holds it. */
export async function tryLock(path: string): Promise<Release | undefined> {
  const claim = await makeClaim(path);
  let taken: Taken | undefined;
  try {
    taken = await takeIfFree(path, claim);
  } finally {
    if (!taken) await claim.withdraw();
  }
  return taken && letGoOf(path, claim, taken);
}

/** The very file by which the lock was taken. */
interface Taken {
  readonly file: string;
}

/** What was found of it. */
interface Outcome extends Holding {
  /** Something that is no lock and has to go. */
  readonly inTheWay?: NoFileError;
}

async function waitForTurn(path: string, claim: Claim, options: LockOptions): Promise<Taken> {
  const { operation, onWait, signal } = options;
  let isTold = false;
  let unclearSinceMs: number | null = null;
  for (let retryMs = FIRST_RETRY_MS; ; retryMs *= 2) {
    const outcome = await tryTake(path, claim);
    if ("file" in outcome) return outcome;
    if (outcome.holder && outcome.life !== "dead" && !isTold) {
      onWait?.(outcome.holder);
      isTold = true;
    }
    unclearSinceMs = outcome.life === "unknown" ? (unclearSinceMs ?? performance.now()) : null;
    if (unclearSinceMs !== null && performance.now() - unclearSinceMs > UNCLEAR_MS)
      throw unclearLock(path, outcome);
    await sleep(Math.min(retryMs, LAST_RETRY_MS), undefined, { signal }).catch(() => {
      throw new OperationAbortedError(operation, undefined, { cause: signal?.reason });
    });
  }
}

async function takeIfFree(path: string, claim: Claim): Promise<Taken | undefined> {
  // An attempt may only have shown that the holder is dead.
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const outcome = await tryTake(path, claim);
    if ("file" in outcome) return outcome;
    if (outcome.life === "alive") return undefined;
    if (outcome.life === "unknown") throw unclearLock(path, outcome);
  }
  return undefined;
}

/** Neither step needs a file to be opened: a process that has run out of them lets go all the same. */
function letGoOf(path: string, claim: Claim, { file }: Taken): Release {
  return async () => {
    if ((await identifyFile(path).catch(() => "")) === file) await removeLock(path);
    await claim.withdraw();
    await sweep(path, claim).catch(() => {});
  };
}

/** A file that can't be removed holds the lock no more under another name. */
async function removeLock(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => rename(path, `${path}.${randomUUID()}`));
}

/**
 * Takers that died while they tried left their files, which others have for a moment only, and this one what it could not remove; and holders
 * that died left their sockets.
 */
async function sweep(path: string, own: Claim): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const file = join(folder, name);
    const found = await stat(file, { bigint: true }).catch(() => undefined);
    if (found && (await isLeft(file, found, own).catch(() => false))) await rm(file, { force: true });
  }
}

async function isLeft(file: string, found: BigIntStats, own: Claim): Promise<boolean> {
  if (found.isSocket()) return (await probeSocket(file, identify(found))) === "refused";
  if ((await readLock(file)) === own.content) return true;
  return Date.now() - Number(found.mtimeMs) > TRYING_MS && (await judgeLock(file)).life === "dead";
}

/** "dead": nobody who lives holds it, and it is worth trying again. A link appears with its content or not at all. */
async function tryTake(path: string, claim: Claim): Promise<Taken | Outcome> {
  const own = `${path}.${randomUUID()}`;
  try {
    await writeFile(own, claim.content, { mode: 0o600 });
    const file = await identifyFile(own);
    await link(own, path);
    return { file };
  } catch (error) {
    if (!isTaken(error)) throw error;
    return await clearIfStale(path, own).catch(unlessNoFile);
  } finally {
    await rm(own, { force: true }).catch(() => {}); // the lock may be taken by now
  }
}

/** Who holds it. Where that one is dead, it is gone by then. */
async function clearIfStale(path: string, own: string): Promise<Holding> {
  const seen = await readLock(path);
  if (seen === undefined) return { ...DEAD, holder: undefined };
  const holding = await judgeClaim(path, seen);
  if (holding.life === "dead") await removeStale(path, seen, own);
  return holding;
}

/** What is no file tells nothing of a holder, as one that can't be understood. */
function unlessNoFile(error: unknown): Outcome {
  if (!(error instanceof NoFileError)) throw error;
  return { ...unknown(error.message), holder: undefined, inTheWay: error };
}

/**
 * Removes the lock that says `seen`, whose holder is dead, and no other: of two who see that, the slower one would else remove
 * what the quicker one has taken meanwhile. Each holder writes other words, so that the right to remove these, itself a lock, is
 * worth nothing for the next. `lock` is what all of them want.
 */
async function removeStale(path: string, seen: string, own: string, lock = path): Promise<void> {
  const claim = `${path}.takeover-${createHash("sha256").update(seen).digest("hex").slice(0, 16)}`;
  try {
    await link(own, claim);
  } catch (error) {
    if (!isTaken(error)) throw error;
    const claimed = await readLock(claim);
    const isStale = claimed !== undefined && (await judgeClaim(lock, claimed)).life === "dead";
    if (isStale) await removeStale(claim, claimed, own, lock);
    return;
  }
  try {
    if ((await readLock(path)) === seen) await rm(path, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}

/** Who holds it. "dead" also where nobody does. Never rejects. */
export async function judgeLock(path: string): Promise<Outcome> {
  try {
    const text = await readLock(path);
    return text === undefined ? { ...DEAD, holder: undefined } : await judgeClaim(path, text);
  } catch (error) {
    if (error instanceof NoFileError) return unlessNoFile(error);
    return { ...unknown((error as Error).message), holder: undefined };
  }
}

/** The process that holds it, where it is proved to live. */
export async function findHolder(path: string): Promise<ProcessIdentity | undefined> {
  const { life, holder } = await judgeLock(path);
  return life === "alive" ? holder : undefined;
}

function unclearLock(path: string, { why, holder, inTheWay }: Outcome): SmolVMError {
  const who = holder ? `process ${holder.pid}` : "its holder";
  const removal = inTheWay?.removal ?? `rm ${quoteText(path)}`;
  return new SmolVMError(
    "LOCK_UNCLEAR",
    `The lock ${path} can't be taken: it is not known whether ${who} still holds it (${why}).`,
    {
      remediation: `Try again. If you are sure that nothing uses it, remove it: ${removal}`,
      details: { path, pid: holder?.pid, why },
      cause: inTheWay,
    },
  );
}

/** Undefined where it is proved that there is none. */
async function readLock(path: string): Promise<string | undefined> {
  return await readText(path, MOST_LINES_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    if (isLink(path)) throw new NoFileError(path, "is a link that leads nowhere, and no file");
    return undefined;
  });
}

/** What was taken over from this process is another file, or was written to. */
async function identifyFile(path: string): Promise<string> {
  const { ino, mtimeNs } = await stat(path, { bigint: true });
  return `${ino} ${mtimeNs}`;
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EEXIST";
}
