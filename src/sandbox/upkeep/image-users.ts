import { dirname } from "node:path";
import { ImageError } from "../../errors.ts";
import { namesIn } from "../../host/names-in.ts";
import { isBad, listMachines } from "../../state/machine-folder.ts";
import type { StoredMachine } from "../../state/machine-record.ts";
import { type StatePaths, snapshotFolder } from "../../state/paths.ts";
import { listStoredSnapshots } from "../../state/snapshots.ts";
import { adoptDisk, findImageDisk } from "../boot/adopt.ts";

/**
 * ImageError where a machine or a snapshot stands on files of these folders and could not take links to them. A machine of an earlier
 * version, which has none yet, takes them now. Of what a later version made, the disk tells. Throws where that can't be read.
 */
export async function requireUnused(
  state: StatePaths,
  name: string,
  folders: readonly string[],
): Promise<void> {
  const isThere = (each: Base | null | undefined) => each && folders.includes(dirname(each.path));
  const machines: string[] = [];
  for (const machine of await listMachines(state))
    if ((await standsOn(state, machine)).some(isThere)) machines.push(machine.name);
  const snapshots: string[] = [];
  for (const { name: each, base } of await basesOfSnapshots(state)) if (isThere(base)) snapshots.push(each);
  if (machines.length + snapshots.length > 0) throw inUse(name, machines, snapshots);
}

type Base = { readonly path: string };

async function basesOfSnapshots(state: StatePaths) {
  const records = new Map((await listStoredSnapshots(state)).map((record) => [record.name, record]));
  const names = (await namesIn(state.snapshots)).filter((name) => !name.startsWith("."));
  return Promise.all(
    names.map(async (name) => {
      const record = records.get(name);
      const base = record
        ? record.facts.base?.elsewhere
        : await baseByDisk(state, snapshotFolder(state, name));
      return { name, base };
    }),
  );
}

async function baseByDisk(state: StatePaths, folder: string): Promise<Base | null> {
  const path = await findImageDisk(state, folder);
  return path === null ? null : { path };
}

async function standsOn(
  state: StatePaths,
  { record, paths }: StoredMachine,
): Promise<(Base | null | undefined)[]> {
  if (isBad(record))
    return [await (record.isNewer ? baseByDisk(state, paths.folder) : adoptDisk(state, paths.folder))];
  const { held, wasBooted } = record;
  if (held) return [held.disk?.elsewhere, held.kernel, held.initramfs];
  return wasBooted ? [await adoptDisk(state, paths.folder)] : [];
}

function inUse(name: string, machines: readonly string[], snapshots: readonly string[]): ImageError {
  const users = [
    ...machines.map((each) => `machine "${each}"`),
    ...snapshots.map((each) => `snapshot "${each}"`),
  ];
  const remedies = [
    ...(machines.length > 0 ? [`smolvm rm -f ${machines.join(" ")}`] : []),
    ...(snapshots.length > 0 ? [`smolvm snapshot rm ${snapshots.join(" ")}`] : []),
  ];
  return new ImageError(
    `The image "${name}" can't be removed: its files are in use by ${users.join(", ")}, and this file system has no links to keep them by.`,
    { remediation: `Remove them first: ${remedies.join("; ")}`, details: { name, machines, snapshots } },
  );
}
