import { type ValidationError, VMNotFoundError } from "../errors.ts";
import { findMachine, isAbandoned, isBad, listMachines } from "../state/machine-folder.ts";
import type { StoredMachine } from "../state/machine-record.ts";
import { type StatePaths, statePaths } from "../state/paths.ts";
import { parseName } from "../util/names.ts";
import { checkOptionKeys, nearestOf, refuse } from "../util/options.ts";
import { hasEntry, parseStringMap } from "../util/string-map.ts";
import { findOwn } from "./holder/own-machine.ts";
import type { Handle } from "./machine/handle.ts";
import { describeStored, type VMInfo } from "./machine/info.ts";
import type { VMStatus } from "./machine/options.ts";
import { badRecordError } from "./remote/bad-record.ts";
import { DamagedMachine } from "./remote/damaged.ts";
import { askRecord } from "./remote/holder.ts";
import { RemoteMachine } from "./remote/machine.ts";

/** Which machines are wanted; all of what is given has to fit. */
export interface ListFilter {
  /** Each of these labels, with this value. */
  labels?: Record<string, string>;
  status?: VMStatus | readonly VMStatus[];
}

const STATUSES: readonly VMStatus[] = [
  "created",
  "starting",
  "running",
  "paused",
  "stopping",
  "stopped",
  "error",
];

/**
 * The machine of that name or id, whichever process made it. VMNotFoundError, naming the nearest there is; SmolVMError
 * "NEWER_FORMAT" where a later version of this program wrote its record, which is left alone.
 */
export async function getMachine(idOrName: string): Promise<Handle> {
  const state = statePaths();
  const stored = await findStored(state, idOrName);
  const found = stored && (await asHeld(stored));
  if (!found || (await isAbandoned(found))) throw await notFound(state, idOrName);
  const { name, paths, record } = found;
  if (isBad(record)) {
    if (record.isNewer) throw badRecordError(name, paths, record);
    return new DamagedMachine(state, name, paths, record.problem);
  }
  return findOwn(record.spec.id) ?? (await new RemoteMachine(record, paths).look());
}

/** Every machine of this state folder, by name; a damaged record is one that is in "error". */
export async function listInfos(filter: ListFilter = {}): Promise<VMInfo[]> {
  const isWanted = parseFilter(filter);
  const machines = await Promise.all((await listMachines(statePaths())).map(asHeld));
  const abandoned = await Promise.all(machines.map(isAbandoned));
  const infos = await Promise.all(machines.filter((_, index) => !abandoned[index]).map(describeStored));
  return infos.filter(isWanted).sort((a, b) => a.name.localeCompare(b.name));
}

/** Of a record that is damaged the process that holds the machine knows better: it writes the record again with the next change. */
async function asHeld(machine: StoredMachine): Promise<StoredMachine> {
  const { paths, record } = machine;
  const held = isBad(record) && !record.isNewer ? await askRecord(paths) : null;
  return held ? { ...machine, record: held } : machine;
}

async function findStored(state: StatePaths, idOrName: string): Promise<StoredMachine | undefined> {
  const name = parseName(idOrName, "idOrName");
  const byName = await findMachine(state, name);
  if (byName) return byName;
  const machines = await listMachines(state);
  return machines.find(({ record }) => !isBad(record) && record.spec.id === idOrName);
}

async function notFound(state: StatePaths, wanted: string): Promise<VMNotFoundError> {
  const names = (await listMachines(state)).map(({ name }) => name);
  const nearest = nearestOf(wanted, names);
  const hint =
    names.length === 0 ? "There is none at all; make one: smolvm create" : "List what there is: smolvm ls -a";
  return new VMNotFoundError(`There is no machine "${wanted}".`, {
    remediation: nearest === undefined ? hint : `Did you mean "${nearest}"? ${hint}`,
    details: { name: wanted, nearest },
  });
}

function parseFilter(filter: ListFilter): (info: VMInfo) => boolean {
  checkOptionKeys(filter, ["labels", "status"], "list()");
  const { labels = {}, status } = filter;
  const statuses = status === undefined ? STATUSES : [status].flat();
  for (const each of statuses)
    if (!STATUSES.includes(each))
      throw refuse("status", each, `one of ${STATUSES.join(", ")}`) satisfies ValidationError;
  const wanted = Object.entries(parseStringMap(labels, "labels"));
  return (info) =>
    statuses.includes(info.status) && wanted.every(([key, value]) => hasEntry(info.labels, key, value));
}
