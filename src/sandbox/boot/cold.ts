import { BootError, OperationTimeoutError } from "../../errors.ts";
import type { CopyFileOptions } from "../../host/copy-file.ts";
import { requireFile } from "../../host/read-file.ts";
import type { MachineDescription, MachineDisk } from "../../qemu/description.ts";
import { createOverlay } from "../../qemu/disk.ts";
import {
  type LaunchedProcess,
  type LaunchOptions,
  launchMachine,
  type QemuMachine,
} from "../../qemu/machine.ts";
import { generateHostKey } from "../../ssh/openssh/keys.ts";
import { preloadSsh } from "../../ssh/transport/ssh-connection.ts";
import { isShared, listLayers, removeLayerDrafts, unshareLayer } from "../../state/disk-layers.ts";
import { diskLayer } from "../../state/paths.ts";
import type { BaseDisk, BootFiles, Setup } from "../machine/boot-setup.ts";
import { isUnended, type Machine, type Started } from "../machine/machine.ts";
import type { ImageSource } from "../machine/spec.ts";
import type { BootContext } from "./boot-context.ts";
import { usesOurInit } from "./boot-files.ts";
import type { PhaseClock } from "./phases.ts";
import { claimFolder, describe, launchOptions, overlayOn } from "./prepare.ts";
import { openRunner, writeSshFiles } from "./runner.ts";
import { hasPanicked } from "./second-try.ts";
import { type Seed, writeSeededInitramfs } from "./seed.ts";

/** Some ten times what a boot takes under emulation. */
const PATIENCE_MS = 40_000;

/** Some thirty times what the largest of ours has. */
export const MOST_INITRAMFS_BYTES = 256 * 1024 * 1024;

/** Half of what copies may make of a disk. With fewer a start adds one, which takes no time. */
const MANY_LAYERS = 32;

/** For QEMU's own start, without the guest's. */
const LAUNCH_MS = 30_000;

/** Boots a machine from its disk, or from its image where it has none yet. */
export async function bootCold(
  machine: Machine,
  setup: Setup,
  context: BootContext,
  clock: PhaseClock,
): Promise<Started> {
  const { spec } = machine;
  const { files, key } = setup;
  const { signal } = context;
  const folder = await claimFolder(machine);
  machine.hostKey ??= generateHostKey();
  const { hostKey, machineId } = machine;
  const seed = {
    ...{ hostname: spec.name, machineId, network: spec.network },
    ...{ authorizedKey: key.publicLine, hostKey: hostKey.dropbear },
  };
  const [initramfs, disks] = await Promise.all([
    seededInitramfs(files, folder.initramfs, seed, { signal, mostBytes: mostInitramfsBytes(spec.source) }),
    ownDisks(files.disk, folder.folder, spec.diskMib, spec.persistent, signal),
  ]);
  clock.mark("disk");
  const description = describe(spec, setup, { name: spec.name, initramfs, disks, memoryFile: null });
  const launch = launchOptions(machine, folder, setup);
  const warn = (message: string) => machine.surroundings.logger.warn?.(message);
  const up = await bringUp({ description, launch, setup, warn }, context, clock);
  try {
    if (!files.startsSsh) return { qemu: up, runner: null, hostKey: null };
    await writeSshFiles(machine, up, setup, hostKey);
    return { qemu: up, runner: openRunner(machine, up, setup, hostKey), hostKey: hostKey.publicLine };
  } catch (error) {
    await up.kill().catch(() => {}); // the first error is the one to tell
    throw error;
  }
}

export interface ColdStart {
  readonly description: MachineDescription;
  readonly launch: LaunchOptions;
  readonly setup: Setup;
  readonly warn: (message: string) => void;
}

/**
 * A guest that is ready. Under emulation about one boot in some hundreds was seen to panic in the kernel's first second or to stand still
 * (QEMU 7.2): such a one is started once more, with what is left of the time.
 */
export async function bringUp(
  start: ColdStart,
  context: BootContext,
  clock: PhaseClock,
): Promise<QemuMachine> {
  const { timeoutMs } = context;
  const { choice, files } = start.setup;
  const isEmulated = choice.accelerator === "tcg" && files.image !== null;
  const patienceMs = isEmulated && timeoutMs >= 2 * PATIENCE_MS ? PATIENCE_MS : timeoutMs;
  const startedMs = performance.now();
  let launched: LaunchedProcess | null = null;
  const onSpawned = (process: LaunchedProcess) => {
    launched = process;
    start.launch.onSpawned?.(process);
  };
  try {
    const first = { ...start, launch: { ...start.launch, onSpawned } };
    return await launchOnce(first, { ...context, timeoutMs: patienceMs }, clock);
  } catch (error) {
    const leftMs = timeoutMs - (performance.now() - startedMs);
    if (!isEmulated || isUnended(launched) || leftMs < PATIENCE_MS || !isStumble(error)) throw error;
    start.warn(`"${start.description.name}" is started once more: ${error.message}`);
    return launchOnce(start, { ...context, timeoutMs: leftMs }, clock);
  }
}

function isStumble(error: unknown): error is BootError {
  return hasPanicked(error) || (error instanceof BootError && error.cause instanceof OperationTimeoutError);
}

async function launchOnce(
  { description, launch, setup }: ColdStart,
  { signal, timeoutMs }: BootContext,
  clock: PhaseClock,
): Promise<QemuMachine> {
  const { startsSsh } = setup.files;
  if (startsSsh) void preloadSsh();
  const qemu = await launchMachine(description, {
    ...launch,
    signal,
    timeoutMs: Math.min(timeoutMs, LAUNCH_MS),
  });
  try {
    clock.mark("qemu");
    if (startsSsh) await qemu.waitReady({ timeoutMs, signal });
    clock.mark("ready");
    return qemu;
  } catch (error) {
    await qemu.kill().catch(() => {});
    throw error;
  }
}

/** Nobody else's may be as large as it likes. */
function mostInitramfsBytes(source: ImageSource): number {
  const isOurs = source.kind === "image" || usesOurInit(source);
  return isOurs ? MOST_INITRAMFS_BYTES : Number.POSITIVE_INFINITY;
}

/** The initramfs with what makes this machine differ from others; as it is where no init of ours reads that. */
export async function seededInitramfs(
  files: BootFiles,
  target: string,
  seed: Seed,
  options: CopyFileOptions,
): Promise<string | null> {
  if (files.initramfs === null || !files.startsSsh) return files.initramfs;
  await writeSeededInitramfs(files.initramfs, target, seed, options);
  return target;
}

/**
 * Each backup made of links shares the highest layer. From here on that layer is copied, so that the chain does not grow for ever. Gives
 * whether it was.
 */
async function makeOwnIfMany(
  layers: readonly string[],
  durable: boolean,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return layers.length >= MANY_LAYERS && (await unshareLayer(layers.at(-1) ?? "", durable, signal));
}

/** The machine's own overlay: made at its first start, found at the later ones, with others above it where copies were made. */
export async function ownDisks(
  base: BaseDisk | null,
  folder: string,
  sizeMib: number,
  durable: boolean,
  signal?: AbortSignal,
): Promise<readonly MachineDisk[]> {
  if (base === null) return [];
  const layers = await listLayers(folder);
  await Promise.all(layers.map(requireFile));
  await removeLayerDrafts(layers).catch(() => {}); // the disk can be used all the same
  const top = layers.at(-1);
  // One that a snapshot has too is frozen, whatever became of those above it: a crash of the host may have lost them.
  if (top !== undefined && (!(await isShared(top)) || (await makeOwnIfMany(layers, durable, signal))))
    return [overlayOn(base, layers, durable)];
  const path = diskLayer(folder, layers.length);
  const baseFormat = top === undefined ? base.format : "qcow2";
  await createOverlay({ base: top ?? base.path, baseFormat, path, sizeMib, durable });
  return [overlayOn(base, [...layers, path], durable)];
}
