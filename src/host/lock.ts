import { createHash, randomUUID } from "node:crypto";
import { link, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { OperationAbortedError } from "../errors.ts";
import { findProcess, isAlive, type ProcessIdentity, ProcessIdentitySchema } from "./process-identity.ts";

export interface LockOptions {
  /** What an abort is called in the error, for example "Waiting for another process to build the image". */
  readonly operation: string;
  /** Called once when somebody else holds it. */
  readonly onWait?: (holder: ProcessIdentity) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Most locks are held for a moment only; those that are not are looked at more and more seldom. */
const FIRST_RETRY_MS = 5;
const LAST_RETRY_MS = 200;
/** Far longer than one attempt takes. */
const TRYING_MS = 10_000;
/** How often who does not wait tries: several find a dead holder at once, and one of them is the next one. */
const ATTEMPTS = 5;

/**
 * Waits until this process alone holds `path`, then returns what lets go of it. A lock dies with its holder: the file
 * tells which process that is.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<() => Promise<void>> {
  const content = await describeHolder();
  let waited = false;
  for (let retryMs = FIRST_RETRY_MS; (await tryTake(path, content)) !== "taken"; retryMs *= 2) {
    const holder = await readHolder(path);
    if (holder && !waited) options.onWait?.(holder);
    waited ||= holder !== undefined;
    await sleep(Math.min(retryMs, LAST_RETRY_MS), undefined, { signal: options.signal }).catch(() => {
      throw new OperationAbortedError(options.operation, undefined, { cause: options.signal?.reason });
    });
  }
  return () => letGo(path, content);
}

/** The same, but undefined where somebody else holds it. */
export async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  const content = await describeHolder();
  // An attempt may only have shown that the holder is dead.
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const outcome = await tryTake(path, content);
    if (outcome === "taken") return () => letGo(path, content);
    if (outcome === "held") return undefined;
  }
  return undefined;
}

async function describeHolder(): Promise<string> {
  // Two pieces of work in one process are two holders.
  return JSON.stringify({ ...(await findProcess(process.pid)), nonce: randomUUID() });
}

async function letGo(path: string, content: string): Promise<void> {
  if ((await readText(path)) === content) await rm(path, { force: true });
  await sweep(path);
}

/** Takers that died amid trying left their files, which others have for a moment only. */
async function sweep(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const file = join(folder, name);
    const found = await stat(file).catch(() => undefined);
    const isOld = found !== undefined && Date.now() - found.mtimeMs > TRYING_MS;
    if (isOld && !(await isLocked(file))) await rm(file, { force: true });
  }
}

/** "free": nobody who lives holds it, and it is worth trying again. A link appears with its content or not at all. */
async function tryTake(path: string, content: string): Promise<"taken" | "held" | "free"> {
  const own = `${path}.${randomUUID()}`;
  try {
    await writeFile(own, content, { mode: 0o600 });
    await link(own, path);
    return "taken";
  } catch (error) {
    if (!isTaken(error)) throw error;
    const seen = await readText(path);
    if (seen !== undefined && (await isHolding(seen))) return "held";
    if (seen !== undefined) await removeStale(path, seen, own);
    return "free";
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * Removes the lock that says `seen`, whose holder is dead, and no other: of two who see that, the slower one would else remove
 * what the quicker one has taken meanwhile. Each holder writes other words, so that the right to remove these, itself a lock, is
 * worth nothing for the next.
 */
async function removeStale(path: string, seen: string, own: string): Promise<void> {
  const claim = `${path}.takeover-${createHash("sha256").update(seen).digest("hex").slice(0, 16)}`;
  try {
    await link(own, claim);
  } catch (error) {
    if (!isTaken(error)) throw error;
    const claimed = await readText(claim);
    if (claimed !== undefined && !(await isHolding(claimed))) await removeStale(claim, claimed, own);
    return;
  }
  try {
    if ((await readText(path)) === seen) await rm(path, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}

/** Whether a living process holds it. */
export async function isLocked(path: string): Promise<boolean> {
  return (await findHolder(path)) !== undefined;
}

/** The living process that holds it. */
export async function findHolder(path: string): Promise<ProcessIdentity | undefined> {
  const holder = await readHolder(path);
  return holder && (await isAlive(holder)) ? holder : undefined;
}

async function isHolding(text: string): Promise<boolean> {
  const holder = parseHolder(text);
  return holder !== undefined && (await isAlive(holder));
}

async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  return parseHolder((await readText(path)) ?? "");
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    return v.parse(ProcessIdentitySchema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch(() => undefined);
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EEXIST";
}
