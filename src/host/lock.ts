import { randomUUID } from "node:crypto";
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

const RETRY_MS = 200;
/** Far longer than one attempt takes. */
const TRYING_MS = 10_000;

/**
 * Waits until this process alone holds `path`, then returns what lets go of it. A lock dies with its holder: the file
 * tells which process that is.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<() => Promise<void>> {
  const content = await describeHolder();
  for (let waited = false; !(await tryTake(path, content)); ) {
    const holder = await readHolder(path);
    if (holder && !waited) options.onWait?.(holder);
    waited ||= holder !== undefined;
    await sleep(RETRY_MS, undefined, { signal: options.signal }).catch(() => {
      throw new OperationAbortedError(options.operation, undefined, { cause: options.signal?.reason });
    });
  }
  return () => letGo(path, content);
}

/** The same, but undefined where somebody else holds it. */
export async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  const content = await describeHolder();
  // The first time may only have shown that the holder is dead.
  if (!(await tryTake(path, content)) && !(await tryTake(path, content))) return undefined;
  return () => letGo(path, content);
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
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > TRYING_MS) await rm(join(folder, name), { force: true });
  }
}

/** A link appears with its content or not at all. */
async function tryTake(path: string, content: string): Promise<boolean> {
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, content, { mode: 0o600 });
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    if ((await readText(path)) !== undefined && !(await isLocked(path))) await removeStale(path, own);
    return false;
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * One at a time, by a lock of its own: of two who see that a holder is dead, the slower one would else remove the lock that the
 * quicker one has taken meanwhile. Whoever dies amid this is as seldom as he is quickly gone.
 */
async function removeStale(path: string, own: string): Promise<void> {
  const claim = `${path}.takeover`;
  try {
    await link(own, claim);
  } catch {
    if (!(await isLocked(claim))) await rm(claim, { force: true });
    return;
  }
  try {
    if (!(await isLocked(path))) await rm(path, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}

/** Whether a living process holds it. */
export async function isLocked(path: string): Promise<boolean> {
  const holder = await readHolder(path);
  return holder !== undefined && (await isAlive(holder));
}

async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  const text = await readText(path);
  try {
    return v.parse(ProcessIdentitySchema, JSON.parse(text ?? ""));
  } catch {
    return undefined;
  }
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch(() => undefined);
}
