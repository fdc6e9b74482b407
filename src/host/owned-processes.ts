import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { findProcess, isAlive, type ProcessIdentity } from "./process-identity.ts";

/** The variable that names the folder to which a process belongs. */
const MARK = "SMOLVM_MACHINE_FOLDER";

export interface OwnedProcess extends ProcessIdentity {
  readonly folder: string;
}

/** For the environment of a process that belongs to `folder`. */
export function markOf(folder: string | null | undefined): NodeJS.ProcessEnv {
  return folder ? { [MARK]: folder } : {};
}

/** This user's processes that belong to a folder below `parent`, whoever started them. Only Linux tells: none elsewhere. */
export async function findOwned(parent: string): Promise<OwnedProcess[]> {
  if (process.platform !== "linux") return [];
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => readOwned(Number(pid), parent)));
  return found.filter((each) => each !== undefined);
}

async function readOwned(pid: number, parent: string): Promise<OwnedProcess | undefined> {
  const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  const variable = environment.split("\0").find((each) => each.startsWith(`${MARK}=${parent}/`));
  if (variable === undefined) return undefined;
  const identity = await findProcess(pid);
  return identity && { ...identity, folder: variable.slice(MARK.length + 1) };
}

/** What a killed process may need until the kernel has taken it down, QEMU's memory too. */
const DEATH_MS = 5_000;

/** Ends a process that nobody looks after any more and waits until it is gone. False where it may not be ended, or does not end. */
export async function endProcess(identity: ProcessIdentity): Promise<boolean> {
  for (const endMs = performance.now() + DEATH_MS; performance.now() < endMs; await sleep(5)) {
    if (!(await isAlive(identity))) return true;
    try {
      process.kill(identity.pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") return false;
    }
  }
  return false;
}
