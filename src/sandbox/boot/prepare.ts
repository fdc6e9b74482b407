import { ValidationError } from "../../errors.ts";
import { hostArch } from "../../host/platform.ts";
import { findSelf } from "../../host/process-identity.ts";
import type { Image } from "../../image/images.ts";
import { findQemu, type QemuBinary } from "../../qemu/binary.ts";
import type { DiskLayer, MachineDescription, MachineDisk, MemoryFile } from "../../qemu/description.ts";
import type { LaunchOptions } from "../../qemu/machine.ts";
import { type ClientKey, obtainClientKey } from "../../ssh/openssh/keys.ts";
import { BoundedLog } from "../../state/bounded-log.ts";
import { claimMachineFolder } from "../../state/machine-folder.ts";
import type { MachinePaths, StatePaths } from "../../state/paths.ts";
import { bounded } from "../../util/bounded.ts";
import type { BaseDisk, Setup } from "../machine/boot-setup.ts";
import type { Machine } from "../machine/machine.ts";
import { recordOf } from "../machine/record-keeper.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { acceleratorFor, trialGuestOf, trialGuestOfImage } from "./accelerator.ts";
import type { BootContext } from "./boot-context.ts";
import { getImage } from "./get-image.ts";
import { bootFilesOf, holdBootFiles } from "./hold.ts";
import type { SharedTime } from "./in-time.ts";
import type { PhaseClock } from "./phases.ts";

const MIB = 1024 * 1024;
/** More than a QEMU that answers ever takes to say what it can do. */
const PATIENCE_MS = 120_000;

/** `untimed` is for what may take minutes. */
export type SetupContext = Pick<BootContext, "signal" | "onProgress"> & Pick<SharedTime, "untimed">;

/** Finds or makes what has to be there before a machine can start: its image, the key, an accelerator that works. */
export async function setUp(machine: Machine, context: SetupContext, clock: PhaseClock): Promise<Setup> {
  const { spec, state } = machine;
  const imageOf = imagesFoundOnce(state, context);
  const finding = bootFilesOf(machine, imageOf);
  const trialGuest = async () => {
    const { image, kernel, initramfs } = await finding;
    if (image && initramfs !== null) return trialGuestOf({ image, kernel, initramfs });
    return trialGuestOfImage(await imageOf("tiny"));
  };
  const choosing = acceleratorFor(spec.accelerator, state, trialGuest, context.signal);
  choosing.catch(() => {}); // heard below
  const [files, [key, qemu]] = await Promise.all([finding, findKeyAndQemu(spec, state, context.signal)]);
  checkDiskSize(spec.diskMib, files.disk);
  clock.mark("image");
  const choice = await choosing;
  clock.mark("accelerator");
  return { files, key, choice, qemu };
}

/** Neither can be aborted, so only the wait is. */
export async function findKeyAndQemu(
  { sshKeyPath }: MachineSpec,
  state: StatePaths,
  signal: AbortSignal,
): Promise<[ClientKey, QemuBinary]> {
  const finding = Promise.all([obtainClientKey(state, sshKeyPath), findQemu(hostArch(), state)]);
  return bounded(finding, { operation: "Finding QEMU and the SSH key", timeoutMs: PATIENCE_MS, signal });
}

/** All that ask for an image get the same: one that is not there yet is built once. */
export function imagesFoundOnce(state: StatePaths, options: SetupContext): (name: string) => Promise<Image> {
  const images = new Map<string, Promise<Image>>();
  return (name) => {
    const image = images.get(name) ?? getImage(state, name, options);
    images.set(name, image);
    return image;
  };
}

/** What QEMU is told of the machine, apart from the files that are its own. */
export function describe(
  spec: MachineSpec,
  { files, choice }: Setup,
  own: {
    readonly name: string;
    readonly initramfs: string | null;
    readonly disks: readonly MachineDisk[];
    readonly memoryFile: MemoryFile | null;
  },
): MachineDescription {
  return {
    ...own,
    arch: hostArch(),
    accelerator: choice.accelerator,
    memoryMib: spec.memoryMib,
    cpus: spec.cpus,
    kernel: files.kernel,
    bootArgs: files.bootArgs,
    network: { mode: spec.network, sshForward: files.startsSsh },
  };
}

/**
 * A machine's disk: files that lie one on the other, the lowest of them on the disk it started from. `durable`: what the guest
 * has synced outlives a crash of the host; nobody would look for what an ephemeral machine had.
 */
export function overlayOn(base: BaseDisk, layers: readonly string[], durable: boolean): MachineDisk {
  let backing: DiskLayer = { path: base.path, format: base.format };
  for (const path of layers.slice(0, -1)) backing = { path, format: "qcow2", backing };
  return { path: layers.at(-1) ?? "", format: "qcow2", readOnly: false, durable, backing };
}

/** What a machine's QEMU is launched with, however it starts. */
export function launchOptions(
  machine: Machine,
  { folder, logs }: MachinePaths,
  { qemu }: Setup,
  onSpawned = () => {},
): Pick<LaunchOptions, "state" | "qemu" | "ephemeralFolder" | "owner" | "logs" | "onSpawned"> {
  const { spec, state } = machine;
  return {
    state,
    qemu,
    ephemeralFolder: spec.persistent ? null : folder,
    owner: folder,
    logs: openLogs(logs),
    onSpawned(process) {
      machine.launched = process;
      onSpawned();
    },
  };
}

/** The folder that holds the machine's name: made at its first start, found at the later ones. */
export async function claimFolder(machine: Machine): Promise<MachinePaths> {
  if (machine.folder) return machine.folder;
  machine.owner = await findSelf();
  machine.folder = await claimMachineFolder(machine.state, await recordOf(machine));
  return machine.folder;
}

/**
 * A machine takes its name, and hold of what it starts from: from then on it is not the image's name that counts. As late as can be: until its QEMU
 * runs, nothing removes the folder where this process is killed.
 */
export async function takePlace(
  machine: Machine,
  setup: Setup,
): Promise<{ readonly folder: MachinePaths; readonly setup: Setup }> {
  const folder = await claimFolder(machine);
  const files = await holdBootFiles(machine, setup.files, folder.folder);
  return { folder, setup: { ...setup, files } };
}

function openLogs({ console, qemu }: MachinePaths["logs"]): NonNullable<LaunchOptions["logs"]> {
  return { console: new BoundedLog(console), qemu: new BoundedLog(qemu) };
}

function checkDiskSize(diskMib: number, disk: BaseDisk | null): void {
  const leastMib = disk === null ? 0 : Math.ceil(disk.bytes / MIB);
  if (diskMib >= leastMib) return;
  throw new ValidationError(
    `diskSizeMib must be at least ${leastMib}, the size of the disk it starts from; given ${diskMib}.`,
    {
      details: { option: "diskSizeMib", given: diskMib, least: leastMib },
    },
  );
}
