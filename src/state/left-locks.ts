import { stat } from "node:fs/promises";
import { join } from "node:path";
import { judgeLock } from "../host/lock.ts";
import { type Judged, namesIn } from "../host/names-in.ts";
import { lockOf, type StatePaths } from "./paths.ts";

/** Longer than a file is there of somebody who is trying to take a lock. */
const TRYING_MS = 20_000;

/** The locks of those who died as they removed a machine, or made a template or an image, or may have; once each. */
export async function listLeftLocks({ machines, templates, images }: StatePaths): Promise<readonly Judged[]> {
  return (await Promise.all([machines, templates, images].map(listLeftIn))).flat();
}

async function listLeftIn(folder: string): Promise<readonly Judged[]> {
  const locks = (await namesIn(folder)).map(async (name) => {
    const lock = lockOf(name);
    // A file of another name may belong to a process that is trying to take the lock, and has nothing else there yet.
    return lock && (name === lock || (await isOld(join(folder, name)))) ? [lock] : [];
  });
  const found = [...new Set((await Promise.all(locks)).flat())].map(async (lock) => {
    const path = join(folder, lock);
    return { path, verdict: await judgeLock(path) };
  });
  return (await Promise.all(found)).filter(({ verdict }) => verdict.life !== "alive");
}

async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > TRYING_MS;
}
