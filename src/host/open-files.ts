import { readdir, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { listProcessIds } from "./process-identity.ts";

/** A process that has a file of that folder open, as far as this one can see; undefined where none has. Only Linux tells. */
export async function findUserOf(folder: string): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  const within = `${await realpath(folder)}/`;
  const pids = await listProcessIds();
  const used = await Promise.all(
    pids.map(async (pid) => (await openFilesOf(pid)).some((path) => path.startsWith(within))),
  );
  return pids.find((_, index) => used[index]);
}

/** None of a process that has ended, or is another user's. */
async function openFilesOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  return Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => "")));
}
