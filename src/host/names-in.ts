import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DEAD, type Verdict } from "./process-identity.ts";
import { DISCARDED_PREFIX } from "./whole-folder.ts";

/** Something that lies in a folder, and whether somebody is at it. */
export interface Judged {
  readonly path: string;
  readonly verdict: Verdict;
}

/** What is in a folder: nothing where there is no such folder. A folder that can't be read is not empty: that throws. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}

/** What makers and removers left in a folder that died, or may have. `judge` tells whether somebody is at what has a name; "alive" also for all that is finished. */
export async function listLeft(
  folder: string,
  judge: (name: string) => Verdict | Promise<Verdict>,
): Promise<readonly Judged[]> {
  const judged = (await namesIn(folder)).map(async (name) => ({
    path: join(folder, name),
    verdict: name.startsWith(DISCARDED_PREFIX) ? DEAD : await judge(name),
  }));
  return (await Promise.all(judged)).filter(({ verdict }) => verdict.life !== "alive");
}
