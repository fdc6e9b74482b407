import { access, constants, readFile, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostError } from "../errors.ts";
import { makeFolders } from "./make-folders.ts";

/** What a process and its descendants may take. Null: as much as there is. */
export interface Limits {
  readonly memoryMib: number | null;
  /** Processors' time: 0.5 is half of one processor. */
  readonly cpus: number | null;
}

/** Where cgroup v2 is mounted, and what a process's own cgroup is. */
export interface CgroupPlaces {
  readonly root: string;
  /** /proc/<pid>/cgroup of this process. */
  readonly self: string;
}

const PLACES: CgroupPlaces = { root: "/sys/fs/cgroup", self: "/proc/self/cgroup" };
/** The kernel's own unit for cpu.max. */
const PERIOD_US = 100_000;
/** A cgroup is empty a moment after its last process has ended. */
const EMPTY_MS = 2_000;

/**
 * Puts a process into a new cgroup v2 called `name` beside this process's own, with these limits, and gives its folder.
 * HostError where this user may not: the kernel lets only those who were given a part of the tree make cgroups in it.
 */
export async function limitProcess(
  pid: number,
  name: string,
  limits: Limits,
  places: CgroupPlaces = PLACES,
): Promise<string> {
  const parent = await requireCgroups(
    { memory: limits.memoryMib !== null, cpu: limits.cpus !== null },
    places,
  );
  const folder = join(parent, name);
  try {
    await makeFolders(folder);
    if (limits.memoryMib !== null) {
      await writeFile(join(folder, "memory.max"), `${limits.memoryMib * 1024 * 1024}`);
      await writeFile(join(folder, "memory.swap.max"), "0").catch(() => {}); // absent where there is no swap
    }
    if (limits.cpus !== null)
      await writeFile(join(folder, "cpu.max"), `${Math.round(limits.cpus * PERIOD_US)} ${PERIOD_US}`);
    await writeFile(join(folder, "cgroup.procs"), `${pid}`);
    return folder;
  } catch (error) {
    await removeCgroup(folder);
    throw refusal(`${folder} can't be used: ${(error as Error).message}`);
  }
}

/** Once it is empty; one that is gone, or that others use, is left. Never rejects. */
export async function removeCgroup(folder: string): Promise<void> {
  for (const endMs = performance.now() + EMPTY_MS; performance.now() < endMs; await sleep(20)) {
    const code = await rmdir(folder).then(
      () => "",
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (code !== "EBUSY") return;
  }
}

/** The cgroup in which this process's own lies: a cgroup that holds processes can't give its controllers on. */
async function findParent({ root, self }: CgroupPlaces): Promise<string> {
  const text = await readFile(self, "utf8").catch(() => "");
  const own = /^0::(.*)$/m.exec(text)?.[1];
  if (own === undefined) throw refusal("this host has no cgroup v2");
  const parent = own === "/" ? root : join(root, dirname(own));
  try {
    await access(parent, constants.W_OK);
    await access(join(parent, "cgroup.procs"), constants.W_OK);
    return parent;
  } catch {
    throw refusal(`this user may not make cgroups in ${parent}`);
  }
}

/** The cgroup in which new ones can be made that limit these; HostError where there is none. */
export async function requireCgroups(
  wants: { readonly memory: boolean; readonly cpu: boolean },
  places: CgroupPlaces = PLACES,
): Promise<string> {
  const parent = await findParent(places);
  const wanted = Object.entries(wants).flatMap(([name, isWanted]) => (isWanted ? [name] : []));
  const text = await readFile(join(parent, "cgroup.subtree_control"), "utf8").catch(() => "");
  const missing = wanted.filter((name) => !text.split(/\s+/).includes(name));
  if (missing.length > 0) throw refusal(`${parent} does not give on the controller ${missing.join(" and ")}`);
  return parent;
}

function refusal(why: string): HostError {
  return new HostError(`hostLimits can't be held on this host: ${why}.`, {
    remediation:
      "Run in a part of the cgroup v2 tree that is yours: systemd-run --user --scope -p Delegate=yes <your program>, or leave hostLimits out.",
  });
}
