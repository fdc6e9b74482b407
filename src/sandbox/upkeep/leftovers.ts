import { rm } from "node:fs/promises";
import { basename } from "node:path";
import { listDeadDrafts } from "../../host/local-socket.ts";
import { judgeLock, tryLock } from "../../host/lock.ts";
import type { Judged } from "../../host/names-in.ts";
import { endProcess, findOwned, type OwnedProcess } from "../../host/owned-processes.ts";
import { DEAD, type Verdict } from "../../host/process-identity.ts";
import { isThere } from "../../host/whole-file.ts";
import { listLeftImages } from "../../image/store.ts";
import { listLeftLocks } from "../../state/left-locks.ts";
import {
  findMachine,
  isBad,
  judgeNeed,
  judgeOwner,
  listLeftFolders,
  listMachines,
  removeAbandoned,
} from "../../state/machine-folder.ts";
import type { StoredMachine } from "../../state/machine-record.ts";
import type { StatePaths } from "../../state/paths.ts";
import { collectDrafts, listLeftDrafts } from "../../state/snapshots.ts";
import { discardTemplate, listLeftTemplates, listWornTemplates } from "../../state/templates.ts";
import { bytesIn } from "../machine/info.ts";
import { TEMPLATE_LIMITS } from "../template/templates.ts";

/** Something that is not needed any more, or of which that can't be told. */
export interface Leftover {
  readonly kind:
    | "machine"
    | "process"
    | "folder"
    | "lock"
    | "socket"
    | "snapshot draft"
    | "template draft"
    | "image draft"
    | "template";
  readonly name: string;
  readonly path: string | null;
  readonly sizeBytes: number;
  /** Why it is not needed, or what keeps that from being told. */
  readonly reason: string;
  /** Rejects where it is not gone then. Null: it is to be left alone. */
  readonly remove: (() => Promise<void>) | null;
}

const QUIET_MS = 1_000;
const collected = new Map<string, number>();

/** Removes in the background what creators that died left, so that it does not pile up. Looks at most once a second. */
export function collectLeftovers(state: StatePaths): void {
  const nowMs = performance.now();
  if (nowMs - (collected.get(state.home) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
  collected.set(state.home, nowMs);
  const collect = async () => {
    // What can't be looked at, or be removed, keeps nothing else: it may be going at this moment.
    for (const find of [leftMachines, leftFolders, leftLocks])
      for (const { remove } of await find(state).catch(() => [])) await remove?.().catch(() => {});
    await collectDrafts(state);
  };
  void collect().catch(() => {}); // the next one tries again, and `prune` says why
}

/** All there is. Nothing that lives, and no persistent machine that has ever been up, is among what may be removed. */
export async function findLeftovers(state: StatePaths): Promise<Leftover[]> {
  const machines = await leftMachines(state);
  const found = await Promise.all([
    leftProcesses(state, new Set(machines.map(({ path }) => path))),
    unclearHolds(state),
    leftFolders(state),
    leftLocks(state),
    leftSockets(state),
    leftDrafts("snapshot draft", listLeftDrafts(state)),
    leftDrafts("template draft", listLeftTemplates(state)),
    leftDrafts("image draft", listLeftImages(state)),
    wornTemplates(state),
  ]);
  return [...machines, ...found.flat()];
}

async function leftMachines(state: StatePaths): Promise<Leftover[]> {
  const left = await Promise.all(
    (await listMachines(state)).map(async (machine) => {
      const verdict = await judgeNeed(machine);
      return verdict.life === "alive" ? [] : [await leftMachine(state, machine, verdict)];
    }),
  );
  return left.flat();
}

async function leftMachine(
  state: StatePaths,
  { name, paths, record }: StoredMachine,
  verdict: Verdict,
): Promise<Leftover> {
  const wasFinished = !isBad(record) && record.wasBooted;
  const known = {
    kind: "machine",
    name,
    path: paths.folder,
    sizeBytes: await bytesIn(paths.folder),
    reason: wasFinished
      ? "the process that it belonged to has ended"
      : "the process that made it ended before it was up",
  } as const;
  return judged(known, "its owner", verdict, {
    remove: async () => void (await removeAbandoned(state, name)),
    // Another one may have the name by now.
    isThere: async () => idOf(await findMachine(state, name)) === idOf({ record }),
  });
}

function idOf(machine: Pick<StoredMachine, "record"> | undefined): string | undefined {
  return machine && !isBad(machine.record) ? machine.record.spec.id : undefined;
}

type Known = Omit<Leftover, "remove">;

/** What must not be removed says why not; and what is said to be removed is gone. */
function judged(
  known: Known,
  whose: string,
  { life, why }: Verdict,
  { remove, isThere }: { remove: () => Promise<void>; isThere: () => Promise<boolean> },
): Leftover {
  if (life !== "dead") return { ...known, reason: unclear(whose, why), remove: null };
  return {
    ...known,
    async remove() {
      await remove();
      if (await isThere()) throw new Error("it is still there: it is in use again, or could not be removed");
    },
  };
}

function unclear(whose: string, why: string): string {
  return `left alone: it can't be told whether ${whose} lives, because ${why}`;
}

/** A guardian, or a QEMU whose guardian was killed too. */
async function leftProcesses(state: StatePaths, abandoned: ReadonlySet<string | null>): Promise<Leftover[]> {
  const owned = await findOwned(state.machines);
  const left = await Promise.all(owned.map((each) => isLeftProcess(state, each)));
  return owned
    .filter(({ folder }, index) => left[index] && !abandoned.has(folder))
    .map((process) => ({
      kind: "process",
      name: `${process.pid}`,
      path: process.folder,
      sizeBytes: 0,
      reason: `it belongs to machine "${basename(process.folder)}", which nobody holds`,
      async remove() {
        if (!(await endProcess(process))) throw new Error("it could not be ended");
      },
    }));
}

async function isLeftProcess(state: StatePaths, { folder }: OwnedProcess): Promise<boolean> {
  const machine = await findMachine(state, basename(folder));
  return machine ? isHeldByNobody(machine) : true;
}

async function isHeldByNobody(machine: StoredMachine): Promise<boolean> {
  if (isBad(machine.record)) return false;
  // On a full disk a supervisor can't write down that it is there: its lock tells.
  const verdicts = [await judgeOwner(machine.record, machine.paths), await judgeLock(machine.paths.lock)];
  return verdicts.every(({ life }) => life === "dead");
}

/** Persistent machines that can't be started, because it can't be told whether somebody holds them. */
async function unclearHolds(state: StatePaths): Promise<Leftover[]> {
  const found = (await listMachines(state)).map(async ({ name, paths }): Promise<Leftover[]> => {
    const { life, why, inTheWay } = await judgeLock(paths.lock);
    const remedy = inTheWay ? `; if you know that the machine does not run: ${inTheWay.removal}` : "";
    const reason = `${unclear(`the holder of machine "${name}"`, why)}${remedy}`;
    return life === "unknown"
      ? [{ kind: "lock", name, path: paths.lock, sizeBytes: 0, reason, remove: null }]
      : [];
  });
  return (await Promise.all(found)).flat();
}

async function leftFolders(state: StatePaths): Promise<Leftover[]> {
  return leftDrafts("folder", listLeftFolders(state));
}

async function leftLocks(state: StatePaths): Promise<Leftover[]> {
  return (await listLeftLocks(state)).map(({ path, verdict }) => {
    const reason = "the process that held it ended midway";
    const known = { kind: "lock", name: basename(path), path, sizeBytes: 0, reason } as const;
    // The process that has it clears away what others left of it.
    const remove = async () => await (await tryLock(path))?.();
    return judged(known, "its holder", verdict, { remove, isThere: () => isThere(path) });
  });
}

/** What supervisors left that were killed as they began to listen. */
async function leftSockets(state: StatePaths): Promise<Leftover[]> {
  const found = (await listMachines(state)).map(async (machine) => {
    const drafts = await listDeadDrafts(machine.paths.control);
    if (drafts.length === 0 || !(await isHeldByNobody(machine))) return [];
    return drafts.map((path) => leftSocket(machine, path));
  });
  return (await Promise.all(found)).flat();
}

function leftSocket({ paths }: StoredMachine, path: string): Leftover {
  const reason = "the supervisor that was to listen there ended midway";
  const known = { kind: "socket", name: basename(path), path, sizeBytes: 0, reason } as const;
  const remove = async () => {
    // A process that holds the machine by now clears it away itself.
    const release = await tryLock(paths.lock);
    if (release) await rm(path, { force: true }).finally(release);
  };
  return judged(known, "its maker", DEAD, { remove, isThere: () => isThere(path) });
}

async function leftDrafts(kind: Leftover["kind"], finding: Promise<readonly Judged[]>): Promise<Leftover[]> {
  return Promise.all(
    (await finding).map(async ({ path, verdict }) => {
      const reason = "the process that made or removed it ended midway";
      const known = { kind, name: basename(path), path, sizeBytes: await bytesIn(path), reason };
      const remove = () => rm(path, { recursive: true, force: true, maxRetries: 3 });
      return judged(known, "its maker", verdict, { remove, isThere: () => isThere(path) });
    }),
  );
}

/** The templates that pruning would remove, as leftovers. */
async function wornTemplates(state: StatePaths): Promise<Leftover[]> {
  return (await listWornTemplates(state, TEMPLATE_LIMITS)).map(({ record, paths, bytes }) => ({
    kind: "template",
    name: `${record.image.name} ${record.key.slice(0, 16)}`,
    path: paths.folder,
    sizeBytes: bytes,
    reason: "it was not used for long, or all templates together take too much",
    remove: () => discardTemplate(state, record.key),
  }));
}
