import { readFile, readlink, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { here } from "./place.ts";
import { findProcess, judgeProcess, listProcessIds, type ProcessIdentity } from "./process-identity.ts";

/** The variable that names the folder to which a process belongs. */
const MARK = "SMOLVM_MACHINE_FOLDER";

export interface OwnedProcess extends ProcessIdentity {
  readonly folder: string;
}

/** For the environment of a process that belongs to `folder`. */
export function markOf(folder: string | null | undefined): NodeJS.ProcessEnv {
  return folder ? { [MARK]: folder } : {};
}

/**
 * This user's processes that belong to a folder below `parent`, also those of other programs; none of other containers, to which the same
 * path is another folder. Only Linux tells: none elsewhere. Throws where there may be some that can't be seen.
 */
export async function findOwned(parent: string): Promise<OwnedProcess[]> {
  if (process.platform !== "linux" || !here().showsOwn) return [];
  const found = await Promise.all((await listProcessIds()).map((pid) => readOwned(pid, parent)));
  return found.filter((each) => each !== undefined);
}

async function readOwned(pid: number, parent: string): Promise<OwnedProcess | undefined> {
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(unlessGone);
  const variable = environment?.split("\0").find((each) => each.startsWith(`${MARK}=${parent}/`));
  if (variable === undefined || !(await isOfHere(pid, parent))) return undefined;
  const identity = await findProcess(pid);
  return identity && { ...identity, folder: variable.slice(MARK.length + 1) };
}

/** Whether it counts processes as this one does, and finds the same folder at that path. */
async function isOfHere(pid: number, parent: string): Promise<boolean> {
  const namespace = await readlink(`/proc/${pid}/ns/pid`).catch(unlessGone);
  if (!namespace || !here().namespaces.startsWith(namespace)) return false;
  const [own, its] = await Promise.all(
    [parent, `/proc/${pid}/root${parent}`].map((path) => stat(path).catch(unlessGone)),
  );
  return own?.dev === its?.dev && own?.ino === its?.ino;
}

/** It has ended, or is another user's. */
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM", "ENOTDIR"]);

function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (!GONE.has(String(error.code))) throw error;
}

/** What a killed process may need until the kernel has taken it down, QEMU's memory too. */
const DEATH_MS = 5_000;

/**
 * Ends a process that nobody looks after any more and waits until it is gone. False where that is not proved: it may not be ended, does not
 * end, can't be seen, or has its id in another container, to which one of ours may be equal by chance.
 */
export async function endProcess(identity: ProcessIdentity): Promise<boolean> {
  for (const endMs = performance.now() + DEATH_MS; performance.now() < endMs; await sleep(5)) {
    const { life } = await judgeProcess(identity);
    if (life !== "alive") return life === "dead";
    if (isElsewhere(identity)) return false;
    try {
      process.kill(identity.pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") return false;
    }
  }
  return false;
}

function isElsewhere({ namespaces }: ProcessIdentity): boolean {
  const place = here();
  return Boolean(namespaces && place.namespaces) && namespaces !== place.namespaces;
}
