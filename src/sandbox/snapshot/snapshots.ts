import { OperationAbortedError } from "../../errors.ts";
import { discardDraftFolder } from "../../state/draft-folder.ts";
import { type StatePaths, statePaths } from "../../state/paths.ts";
import type { SavedFacts, SnapshotRecord } from "../../state/snapshot-record.ts";
import {
  getSnapshot,
  listStoredSnapshots,
  publishSnapshot,
  removeSnapshot,
  requireFreeName,
  type SavedMachine,
} from "../../state/snapshots.ts";
import { parseName } from "../../util/names.ts";
import { checkOptionKeys, parseSignal, refuse } from "../../util/options.ts";
import { inTime } from "../boot/in-time.ts";
import { parseSnapshotCall } from "../machine/call-options.ts";
import type { Machine } from "../machine/machine.ts";
import type { CopyCallOptions, SmolVMOptions, VMConfig } from "../machine/options.ts";
import { describeSnapshot, type SnapshotInfo } from "../machine/snapshot-info.ts";
import { copyMachine } from "./copy.ts";
import { withOrigin } from "./origins.ts";

/** All else is as it was saved. */
export type RestoreOptions = Pick<
  SmolVMOptions,
  | "name"
  | "ports"
  | "labels"
  | "env"
  | "persistent"
  | "ttl"
  | "idleTimeout"
  | "hostLimits"
  | "logger"
  | "onProgress"
  | "signal"
>;

const OWN = [
  ...["name", "ports", "labels", "env", "persistent", "ttl", "idleTimeout", "hostLimits"],
  ...["logger", "onProgress", "signal"],
];
const SAVED = [
  ...["image", "memSizeMib", "vcpuCount", "diskSizeMib", "network", "template", "accelerator"],
  ...["sshUser", "sshKeyPath", "kernelPath", "initrdPath", "rootfsPath", "bootArgs"],
];

export async function snapshotMachine(
  machine: Machine,
  wanted?: string,
  options: CopyCallOptions = {},
): Promise<SnapshotInfo> {
  const { name, timeoutMs, signal } = parseSnapshotCall(wanted, options);
  await requireFreeName(machine.state, name);
  const operation = `Making a snapshot of machine "${machine.spec.name}"`;
  return inTime({ operation, timeoutMs, signal }, async (time) => {
    const saved = await copyMachine(machine, "snapshot", { timeoutMs: time.leftMs(), signal: time.signal });
    try {
      const { record } = await publishSnapshot(machine.state, saved, name, time.signal);
      return describeSnapshot(record as SnapshotRecord);
    } catch (error) {
      await discardDraftFolder(saved.paths.folder);
      if (error !== time.signal.reason) throw error;
      throw new OperationAbortedError(operation, undefined, { cause: error });
    }
  });
}

/** What a machine is made with that goes on with that snapshot. */
export async function prepareRestore(
  name: string,
  options: RestoreOptions = {},
  state: StatePaths = statePaths(),
): Promise<SmolVMOptions | VMConfig> {
  parseName(name);
  checkOptionKeys(options, [...OWN, ...SAVED], "restore()");
  for (const [key, value] of Object.entries(options))
    if (SAVED.includes(key) && value !== undefined)
      throw refuse(key, value, "left out: it is as it was saved");
  return optionsOf(await findSaved(state, name, parseSignal(options.signal)), options);
}

/** A snapshot that was moved is read whole: that takes a while. OperationAbortedError. */
async function findSaved(state: StatePaths, name: string, signal: AbortSignal | null): Promise<SavedMachine> {
  return getSnapshot(state, name, signal ?? undefined).catch((error) => {
    if (!signal?.aborted) throw error;
    throw new OperationAbortedError(`Restoring snapshot "${name}"`, undefined, { cause: error });
  });
}

export function optionsOf(saved: SavedMachine, own: RestoreOptions): SmolVMOptions | VMConfig {
  const { facts } = saved;
  const shape = {
    memSizeMib: facts.memoryMib,
    vcpuCount: facts.cpus,
    diskSizeMib: facts.diskMib,
    network: facts.network,
    template: facts.template,
    accelerator: facts.accelerator,
    sshUser: facts.sshUser,
    ...(facts.sshKeyPath !== null && { sshKeyPath: facts.sshKeyPath }),
  };
  return withOrigin({ labels: facts.labels, ...shape, ...sourceOf(facts), ...own }, saved);
}

export async function listSnapshots(): Promise<SnapshotInfo[]> {
  return (await listStoredSnapshots(statePaths())).map(describeSnapshot);
}

export async function deleteSnapshot(name: string): Promise<void> {
  await removeSnapshot(statePaths(), parseName(name));
}

function sourceOf({ own, image }: SavedFacts): Pick<SmolVMOptions, "image"> | Partial<VMConfig> {
  if (own === null) return { image: image?.name ?? "debian" };
  const { initrdPath, ...others } = own;
  return { ...others, ...(initrdPath !== null && { initrdPath }) };
}
