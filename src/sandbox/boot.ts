import { access } from "node:fs/promises";
import { BootError, HostError, OperationTimeoutError, ValidationError } from "../errors.ts";
import { hostArch } from "../host/platform.ts";
import { findProcess } from "../host/process-identity.ts";
import type { OnProgress } from "../image/progress.ts";
import type { MachineDescription, MachineDisk } from "../qemu/description.ts";
import { createOverlay } from "../qemu/disk.ts";
import { launchMachine, type QemuMachine } from "../qemu/machine.ts";
import { preloadSsh } from "../ssh/connection.ts";
import {
  type ClientKey,
  ensureClientKey,
  generateHostKey,
  type HostKey,
  readClientKey,
} from "../ssh/keys.ts";
import type { CommandRunner } from "../ssh/runner.ts";
import { claimMachineFolder } from "../state/machine-folder.ts";
import type { MachinePaths } from "../state/paths.ts";
import { type AcceleratorChoice, acceleratorFor } from "./accelerator.ts";
import { type BaseDisk, type BootFiles, resolveBootFiles } from "./boot-files.ts";
import { setEnvVars } from "./environment.ts";
import { getImage } from "./images.ts";
import type { Booted, BootReport, Machine } from "./machine.ts";
import { PhaseClock } from "./phases.ts";
import { openRunner } from "./runner.ts";
import { type Seed, writeSeededInitramfs } from "./seed.ts";
import type { PortSpec } from "./spec.ts";

const MIB = 1024 * 1024;
/** Some ten times what a boot takes under emulation. */
const PATIENCE_MS = 40_000;

export interface BootContext {
  readonly signal: AbortSignal;
  /** For QEMU's start until the guest is ready. */
  readonly timeoutMs: number;
  readonly onProgress?: OnProgress | undefined;
}

/** All that has to be there before QEMU can start. */
interface Prepared {
  readonly files: BootFiles;
  readonly key: ClientKey;
  readonly hostKey: HostKey;
  readonly choice: AcceleratorChoice;
  readonly folder: MachinePaths;
  readonly initramfs: string | null;
  readonly disks: readonly MachineDisk[];
}

/** From a specification to a machine that is up. What is left where it fails is the caller's to remove. */
export async function bootMachine(machine: Machine, context: BootContext): Promise<Booted> {
  const clock = new PhaseClock();
  const isFirst = machine.folder === null;
  const prepared = await prepare(machine, context, clock);
  const qemu = await bringUp(machine, prepared, context, clock);
  try {
    await openPorts(qemu, machine.spec.ports);
    const runner = prepared.files.startsSsh ? await openRunner(machine, qemu, prepared) : null;
    if (runner && isFirst) await applyEnv(machine, runner);
    return { qemu, runner, report: reportOf(prepared.choice, clock) };
  } catch (error) {
    await qemu.kill();
    throw error;
  }
}

/**
 * A guest that is ready. Under emulation about one boot in some hundreds was seen to panic in the kernel's first second or to stand still
 * (QEMU 7.2): such a one is started once more, with what is left of the time.
 */
async function bringUp(
  machine: Machine,
  prepared: Prepared,
  context: BootContext,
  clock: PhaseClock,
): Promise<QemuMachine> {
  const { timeoutMs } = context;
  const isEmulated = prepared.choice.accelerator === "tcg" && machine.spec.source.kind === "image";
  const patienceMs = isEmulated && timeoutMs >= 2 * PATIENCE_MS ? PATIENCE_MS : timeoutMs;
  const startedMs = performance.now();
  try {
    return await launchOnce(machine, prepared, { ...context, timeoutMs: patienceMs }, clock);
  } catch (error) {
    const leftMs = timeoutMs - (performance.now() - startedMs);
    if (!isEmulated || leftMs < PATIENCE_MS || !isStumble(error)) throw error;
    machine.surroundings.logger.warn?.(`"${machine.spec.name}" is started once more: ${error.message}`);
    return launchOnce(machine, prepared, { ...context, timeoutMs: leftMs }, clock);
  }
}

function isStumble(error: unknown): error is BootError {
  if (!(error instanceof BootError)) return false;
  return error.cause instanceof OperationTimeoutError || error.consoleTail.includes("Kernel panic");
}

async function launchOnce(
  machine: Machine,
  prepared: Prepared,
  { signal, timeoutMs }: BootContext,
  clock: PhaseClock,
): Promise<QemuMachine> {
  const ephemeralFolder = prepared.folder.folder;
  if (prepared.files.startsSsh) void preloadSsh();
  const qemu = await launchMachine(describe(machine, prepared), {
    state: machine.state,
    ephemeralFolder,
    signal,
  });
  try {
    clock.mark("qemu");
    if (prepared.files.startsSsh) await qemu.waitReady({ timeoutMs, signal });
    clock.mark("ready");
    return qemu;
  } catch (error) {
    await qemu.kill();
    throw error;
  }
}

async function applyEnv({ spec }: Machine, runner: CommandRunner): Promise<void> {
  if (Object.keys(spec.env).length > 0) await setEnvVars({ runner, vmId: spec.id }, spec.env);
}

async function prepare(machine: Machine, context: BootContext, clock: PhaseClock): Promise<Prepared> {
  const { spec, state } = machine;
  const imageOf = (name: string) => getImage(state, name, context);
  const [files, key] = await Promise.all([
    resolveBootFiles(spec.source, hostArch(), imageOf),
    spec.sshKeyPath === null ? ensureClientKey(state) : readClientKey(spec.sshKeyPath),
  ]);
  checkDiskSize(spec.diskMib, files.disk);
  clock.mark("image");
  const choice = await acceleratorFor(spec, state, context.signal);
  clock.mark("accelerator");
  machine.folder ??= await claim(machine);
  machine.hostKey ??= generateHostKey();
  const { folder, hostKey } = machine;
  const [initramfs, disks] = await Promise.all([
    seededInitramfs(files, folder, {
      hostname: spec.name,
      authorizedKey: key.publicLine,
      hostKey: hostKey.dropbear,
    }),
    machineDisks(files.disk, folder, spec.diskMib),
  ]);
  clock.mark("disk");
  return { files, key, hostKey, choice, folder, initramfs, disks };
}

function reportOf({ accelerator, reason }: AcceleratorChoice, { phases }: PhaseClock): BootReport {
  return { accelerator, acceleratorReason: reason, startedAt: new Date().toISOString(), phases };
}

async function openPorts(qemu: QemuMachine, ports: readonly PortSpec[]): Promise<void> {
  for (const { guest, host } of ports) {
    await qemu.addForward({ hostAddress: "127.0.0.1", hostPort: host ?? 0, guestPort: guest });
  }
}

async function claim({ state, spec }: Machine): Promise<MachinePaths> {
  const creator = await findProcess(process.pid);
  if (!creator) throw new HostError("This process can't be found in the host's process table.");
  return claimMachineFolder(state, { id: spec.id, name: spec.name, creator });
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

async function seededInitramfs(files: BootFiles, folder: MachinePaths, seed: Seed): Promise<string | null> {
  if (files.initramfs === null || !files.startsSsh) return files.initramfs;
  await writeSeededInitramfs(files.initramfs, folder.initramfs, seed);
  return folder.initramfs;
}

/** The machine's own overlay: made at its first start, found at the later ones. */
async function machineDisks(
  base: BaseDisk | null,
  folder: MachinePaths,
  sizeMib: number,
): Promise<readonly MachineDisk[]> {
  if (base === null) return [];
  const backing = { path: base.path, format: base.format };
  const isThere = await access(folder.disk).then(
    () => true,
    () => false,
  );
  if (!isThere) await createOverlay({ base: base.path, baseFormat: base.format, path: folder.disk, sizeMib });
  return [{ path: folder.disk, format: "qcow2", readOnly: false, durable: false, backing }];
}

function describe({ spec }: Machine, { files, choice, initramfs, disks }: Prepared): MachineDescription {
  return {
    name: spec.name,
    arch: hostArch(),
    accelerator: choice.accelerator,
    memoryMib: spec.memoryMib,
    memoryFile: null,
    cpus: spec.cpus,
    kernel: files.kernel,
    initramfs,
    bootArgs: files.bootArgs,
    disks,
    network: { mode: spec.network, sshForward: files.startsSsh },
  };
}
