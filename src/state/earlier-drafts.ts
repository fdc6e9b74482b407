import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { findUserOf } from "../host/open-files.ts";
import { ALIVE, DEAD, findProcess, unknown, type Verdict } from "../host/process-identity.ts";
import { MAX_SECONDS } from "../util/duration.ts";

/** No call may take more than a day; an hour is for what it does when that is over. */
const LONGEST_CALL_MS = (MAX_SECONDS + 3_600) * 1000;

/**
 * Whether somebody is at a draft whose name, an earlier version's, does not tell where its maker lives. Nobody is where no process that
 * can be seen uses it, and it was written to last before any call could have begun that is under way.
 */
export async function judgeEarlierDraft(folder: string): Promise<Verdict> {
  if (await isMakerSeen(basename(folder))) return ALIVE;
  const user = await findUserOf(folder);
  if (user !== undefined) return unknown(`process ${user} has a file of it open`);
  if (Date.now() - (await lastChangeMs(folder)) > LONGEST_CALL_MS) return DEAD;
  return unknown("its name is an earlier version's, and it was written to less than a day ago");
}

/** Some versions told the process for good, but not in which container it was. */
async function isMakerSeen(name: string): Promise<boolean> {
  const [, pid, tag] = /^\.draft-(\d+)-([0-9a-f]{12})-[^-]+$/.exec(name) ?? [];
  const now = pid === undefined ? undefined : await findProcess(Number(pid));
  if (!now) return false;
  return createHash("sha256").update(`${now.startedAt} ${now.bootId}`).digest("hex").slice(0, 12) === tag;
}

async function lastChangeMs(folder: string): Promise<number> {
  const files = (await readdir(folder)).map((name) => join(folder, name));
  const times = [folder, ...files].map(async (path) => (await stat(path)).mtimeMs);
  return Math.max(...(await Promise.all(times)));
}
