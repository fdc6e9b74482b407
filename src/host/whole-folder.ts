import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf, isMissing, syncFolder } from "./whole-file.ts";

/**
 * Gives a folder its name, at once and whole; durable: the name outlives a crash of the host. Where that can't be had the name is taken back,
 * so that what is told as failed is not there; and what can't be taken back is done.
 */
export async function renameFolder(
  from: string,
  to: string,
  { durable }: { readonly durable: boolean },
): Promise<void> {
  await rename(from, to);
  if (!durable) return;
  try {
    await syncFolder(dirname(to));
  } catch (error) {
    const isBack = await rename(to, from).then(
      () => true,
      () => false,
    );
    if (isBack) throw error;
  }
}

/** Whether `renameFolder` has failed because something has the name: a folder, or a file or link, over which none can be put. */
export function isNameTaken(error: unknown): boolean {
  return ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(codeOf(error));
}

/** What nobody shall find any more has a name that begins with this, beside where it was. */
export const DISCARDED_PREFIX = ".discarded-";

/** A name for a folder on its way out. */
export function discardedName(folder: string): string {
  return join(dirname(folder), `${DISCARDED_PREFIX}${randomUUID()}`);
}

/**
 * Removes a folder, at once and whole: by another name beside it, under which nobody finds it, and which is not there yet. False where it is
 * gone already. What of it can't be removed then is left for `prune`, which says why: the folder itself is gone, and its name may be another one's.
 */
export async function discardFolder(folder: string): Promise<boolean> {
  const doomed = discardedName(folder);
  // Nothing is made for it beforehand, which a full disk would refuse, and others would take for left.
  try {
    await rename(folder, doomed);
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  await rm(doomed, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  return true;
}
