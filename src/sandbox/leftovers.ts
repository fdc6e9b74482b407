import { rm } from "node:fs/promises";
import { basename } from "node:path";
import { isLocked, tryLock } from "../host/lock.ts";
import { endProcess, findOwned, type OwnedProcess } from "../host/owned-processes.ts";
import { isAlive } from "../host/process-identity.ts";
import {
  findMachine,
  isAbandoned,
  isBad,
  listLeftFolders,
  listLeftLocks,
  listMachines,
  removeAbandoned,
  type StoredMachine,
} from "../state/machine-folder.ts";
import type { MachineRecord } from "../state/machine-record.ts";
import type { StatePaths } from "../state/paths.ts";
import { collectDrafts, listLeftDrafts } from "../state/snapshots.ts";
import { listLeftTemplates } from "../state/templates.ts";
import { bytesIn } from "./info.ts";
import { findWornTemplates } from "./templates.ts";

/** Something that nobody needs any more. */
export interface Leftover {
  readonly kind: "machine" | "process" | "folder" | "lock" | "snapshot draft" | "template draft" | "template";
  readonly name: string;
  readonly path: string | null;
  readonly sizeBytes: number;
  /** Why nobody needs it. */
  readonly reason: string;
  remove(): Promise<void>;
}

const QUIET_MS = 1_000;
const collected = new Map<string, number>();

/** Removes in the background what creators that died left, so that it does not pile up. Looks at most once a second. */
export function collectLeftovers(state: StatePaths): void {
  const nowMs = performance.now();
  if (nowMs - (collected.get(state.home) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
  collected.set(state.home, nowMs);
  const collect = async () => {
    for (const find of [leftMachines, leftFolders, leftLocks])
      for (const leftover of await find(state)) await leftover.remove();
    await collectDrafts(state);
  };
  void collect().catch(() => {}); // the next one tries again, and `prune` says why
}

/** All there is. Nothing that lives, and no persistent machine that has ever been up, is among it. */
export async function findLeftovers(state: StatePaths): Promise<Leftover[]> {
  const machines = await leftMachines(state);
  const found = await Promise.all([
    leftProcesses(state, new Set(machines.map(({ path }) => path))),
    leftFolders(state),
    leftLocks(state),
    leftDrafts("snapshot draft", listLeftDrafts(state)),
    leftDrafts("template draft", listLeftTemplates(state)),
    findWornTemplates(state),
  ]);
  return [...machines, ...found.flat()];
}

async function leftMachines(state: StatePaths): Promise<Leftover[]> {
  const machines = await listMachines(state);
  const left = await Promise.all(machines.map(({ record }) => isAbandoned(record)));
  return Promise.all(
    machines.filter((_, index) => left[index]).map((machine) => leftMachine(state, machine)),
  );
}

async function leftMachine(state: StatePaths, { name, paths, record }: StoredMachine): Promise<Leftover> {
  const wasFinished = !isBad(record) && record.wasBooted;
  return {
    kind: "machine",
    name,
    path: paths.folder,
    sizeBytes: await bytesIn(paths.folder),
    reason: wasFinished
      ? "the process that it belonged to has ended"
      : "the process that made it ended before it was up",
    async remove() {
      await removeAbandoned(state, name); // unless another one has the name by now
    },
  };
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
      remove: async () => void (await endProcess(process)),
    }));
}

async function isLeftProcess(state: StatePaths, { folder }: OwnedProcess): Promise<boolean> {
  const machine = await findMachine(state, basename(folder));
  if (!machine) return true;
  // On a full disk a supervisor can't write down that it is there: its lock tells.
  return !isBad(machine.record) && !(await isHeld(machine.record)) && !(await isLocked(machine.paths.lock));
}

/** Whether a living process answers for the machine. */
export async function isHeld({ owner }: MachineRecord): Promise<boolean> {
  return owner !== null && (await isAlive(owner));
}

async function leftFolders(state: StatePaths): Promise<Leftover[]> {
  return leftDrafts("folder", listLeftFolders(state));
}

async function leftLocks(state: StatePaths): Promise<Leftover[]> {
  return (await listLeftLocks(state)).map((path) => ({
    kind: "lock",
    name: basename(path),
    path,
    sizeBytes: 0,
    reason: "whoever removed that machine ended midway",
    // Whoever has it clears away what others left of it.
    remove: async () => await (await tryLock(path))?.(),
  }));
}

async function leftDrafts(kind: Leftover["kind"], finding: Promise<readonly string[]>): Promise<Leftover[]> {
  return Promise.all(
    (await finding).map(async (path) => ({
      kind,
      name: basename(path),
      path,
      sizeBytes: await bytesIn(path),
      reason: "whoever made or removed it ended midway",
      remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
    })),
  );
}
