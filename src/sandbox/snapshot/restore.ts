import { rm } from "node:fs/promises";
import { basename } from "node:path";
import { SmolVMError } from "../../errors.ts";
import { requireFile } from "../../host/read-file.ts";
import { readFromStart, unlessMissing } from "../../host/whole-file.ts";
import type { MachineDisk } from "../../qemu/description.ts";
import { createOverlay } from "../../qemu/disk.ts";
import { launchMachine, type QemuMachine } from "../../qemu/machine.ts";
import type { TrialGuest } from "../../qemu/trial.ts";
import type { WaitOptions } from "../../qemu/wait.ts";
import { parseHostKey } from "../../ssh/openssh/keys.ts";
import { scriptsDigest } from "../../ssh/protocol/guest-scripts.ts";
import { preloadSsh } from "../../ssh/transport/ssh-connection.ts";
import { findBase, shareDisk } from "../../state/disk-layers.ts";
import { GUEST_FORMAT, isAsItWas } from "../../state/held-files.ts";
import {
  diskLayer,
  heldInitramfs,
  heldKernel,
  type MachinePaths,
  type StatePaths,
} from "../../state/paths.ts";
import {
  openSavedState,
  requireSavedMemory,
  requireSavedState,
  type SavedMachine,
} from "../../state/snapshots.ts";
import { acceleratorFor, trialGuestOf, trialGuestOfImage } from "../boot/accelerator.ts";
import type { BootContext } from "../boot/boot-context.ts";
import { deviceModel } from "../boot/device-model.ts";
import { holdSaved } from "../boot/hold.ts";
import type { PhaseClock } from "../boot/phases.ts";
import {
  claimFolder,
  describe,
  findKeyAndQemu,
  imagesFoundOnce,
  launchOptions,
  overlayOn,
  type SetupContext,
} from "../boot/prepare.ts";
import { openRunner, writeSshFiles } from "../boot/runner.ts";
import { withSecondTry } from "../boot/second-try.ts";
import type { BaseDisk, Setup } from "../machine/boot-setup.ts";
import { isUnended, type Machine, type Started } from "../machine/machine.ts";
import type { MachineSpec } from "../machine/spec.ts";

const PRECONNECT_MS = 10_000;

/** What has to be there to go on with a saved machine. SmolVMError "SNAPSHOT_UNUSABLE" where this host has another QEMU, accelerator or key. */
export async function setUpRestore(
  spec: MachineSpec,
  state: StatePaths,
  origin: SavedMachine,
  context: SetupContext,
): Promise<Setup> {
  const { facts } = origin;
  const { signal } = context;
  const [[key, qemu], choice] = await Promise.all([
    findKeyAndQemu(spec, state, signal),
    acceleratorFor(facts.accelerator, state, () => trialGuestFor(origin, state, context), signal),
  ]);
  const disk = facts.base && { ...facts.base, path: facts.base.elsewhere?.path ?? "" };
  const startsSsh = facts.hostKey !== null;
  const image = facts.image && { ...facts.image, kernelVersion: null };
  const files = { image, kernel: "", initramfs: null, bootArgs: "", disk, startsSsh };
  const setup: Setup = { files, key, choice, qemu };
  const now = qemu.features.version;
  const keyPath = spec.sshKeyPath ?? state.clientKey;
  if (now !== facts.qemuVersion)
    throw unusable(
      facts.sourceName,
      `it was saved by QEMU ${facts.qemuVersion}, and here is ${now}`,
      "Install that QEMU again",
    );
  if (key.publicLine !== facts.clientKey)
    throw unusable(
      facts.sourceName,
      "it lets in the holder of another SSH key",
      `Put that key back: ${keyPath}`,
    );
  if (startsSsh && facts.guestFormat !== GUEST_FORMAT)
    throw unusable(
      facts.sourceName,
      "its guest was started by a version of smolvm that talks to guests in another way",
      "Use the version of smolvm that saved it",
    );
  if (deviceModel(spec, setup) !== facts.model)
    throw unusable(
      facts.sourceName,
      "its devices are not those of this version or this host",
      "Use the version of smolvm and the host that saved it",
    );
  const base = facts.base?.elsewhere;
  if (base && !(await isAsItWas(base).catch(unlessMissing)))
    throw unusable(
      facts.sourceName,
      `${base.path}, on which its disk lies, was changed or is gone`,
      "Put it back",
    );
  return setup;
}

/** The snapshot's own kernel, so that no image is built only to try an accelerator with. */
async function trialGuestFor(
  { facts, paths }: SavedMachine,
  state: StatePaths,
  context: SetupContext,
): Promise<TrialGuest> {
  const [kernel, initramfs] = [heldKernel(paths.folder), heldInitramfs(paths.folder)];
  // QEMU would wait at a fifo, and the accelerator be blamed for it.
  const areFiles = Promise.all([kernel, initramfs].map(requireFile)).then(
    () => true,
    () => false,
  );
  if (facts.image && (await areFiles)) {
    const image = { ...facts.image, kernelVersion: null };
    return trialGuestOf({ image, kernel, initramfs });
  }
  return trialGuestOfImage(await imagesFoundOnce(state, context)(facts.image?.name ?? "tiny"));
}

/** Goes on with a saved machine as another one. What is left where it fails, but for QEMU, is the caller's to remove. */
export async function startRestored(
  machine: Machine,
  origin: SavedMachine,
  setup: Setup,
  context: BootContext,
  clock: PhaseClock,
): Promise<Started> {
  const { spec, surroundings } = machine;
  const deadlineMs = performance.now() + context.timeoutMs;
  void preloadSsh();
  const folder = await claimFolder(machine);
  const frozen = setup.files.disk ? await shareDisk(origin.paths.folder, folder.folder, context) : [];
  await holdSaved(machine, origin, folder.folder);
  const start = () => {
    const timeoutMs = Math.max(1, deadlineMs - performance.now());
    return restoreOnce(machine, setup, { origin, folder, frozen }, { ...context, timeoutMs }, clock);
  };
  return withSecondTry(setup, start, (error) => {
    if (isUnended(machine.launched)) throw error;
    clock.mark("failed restore");
    surroundings.logger.warn?.(`"${spec.name}" is restored once more: ${error.message}`);
  });
}

interface Restoring {
  readonly origin: SavedMachine;
  readonly folder: MachinePaths;
  /** The layers of its disk that are not its own. */
  readonly frozen: readonly string[];
}

async function restoreOnce(
  machine: Machine,
  setup: Setup,
  { origin, folder, frozen }: Restoring,
  context: BootContext,
  clock: PhaseClock,
): Promise<Started> {
  const { spec } = machine;
  const deadlineMs = performance.now() + context.timeoutMs;
  const left = () => ({ timeoutMs: Math.max(1, deadlineMs - performance.now()), signal: context.signal });
  const saved = await openSavedState(origin);
  let qemu: QemuMachine | undefined;
  try {
    requireSavedState(origin, await readFromStart(saved, (await saved.stat()).size + 1));
    const disks = await addLayer(frozen, setup.files.disk, folder, spec);
    clock.mark("disk");
    const memoryFile = { path: origin.paths.memory, shared: false };
    const description = describe(spec, setup, { name: spec.name, initramfs: null, disks, memoryFile });
    qemu = await launchMachine(description, {
      ...launchOptions(machine, folder, setup, () => clock.mark("spawn")),
      saved: { fd: saved.fd, leavesMemoryOut: true },
      ...left(),
    });
    await requireSavedMemory(origin, context.signal);
    clock.mark("restore");
    return await goOn(machine, setup, origin, qemu, left(), clock);
  } catch (error) {
    await qemu?.kill().catch(() => {}); // the first error is the one to tell
    await requireSavedMemory(origin, context.signal); // QEMU knows less of what is wrong with the file
    throw error;
  } finally {
    await saved.close();
  }
}

async function goOn(
  machine: Machine,
  setup: Setup,
  { facts }: SavedMachine,
  qemu: QemuMachine,
  options: WaitOptions,
  clock: PhaseClock,
): Promise<Started> {
  const { spec, machineId } = machine;
  if (facts.hostKey === null) {
    await qemu.resume();
    return { qemu, runner: null, hostKey: null };
  }
  // Connections of the source would be reset, and what runs through them would end, before the guest knows who it is.
  const letThrough = await qemu.holdNetwork();
  const shell = facts.shell?.scripts === scriptsDigest() ? facts.shell : null;
  const early = shell && { left: shell, isFresh: shell.isFresh, hostname: spec.name };
  if (!early) drain(qemu);
  const serverKey = parseHostKey(facts.hostKey);
  const runner = openRunner(machine, qemu, setup, serverKey, early);
  try {
    const keeps = shell ? basename(shell.name[0]) : undefined;
    const identity = { hostname: spec.name, machineId, wasInUse: true, keeps };
    await Promise.all([qemu.goOnAs(identity, options), writeSshFiles(machine, qemu, setup, serverKey)]);
    clock.mark("identity");
    if (!early) qemu.serial.main.write("exit\n");
    await letThrough();
    if (!early) runner.preconnect(PRECONNECT_MS);
    return { qemu, runner, hostKey: facts.hostKey };
  } catch (error) {
    await runner.close();
    throw error;
  }
}

/** What a command of the source writes there is read by nobody, but it is not to wait for ever; a shell that waits there is to end. */
function drain({ serial }: QemuMachine): void {
  serial.main.resume();
  serial.errors.resume();
}

/** The same frozen files under names of its own, and an empty one above them for what it writes. */
async function addLayer(
  frozen: readonly string[],
  base: BaseDisk | null,
  { folder }: MachinePaths,
  { diskMib: sizeMib, persistent }: MachineSpec,
): Promise<readonly MachineDisk[]> {
  if (base === null) return [];
  const top = diskLayer(folder, frozen.length);
  await rm(top, { force: true });
  const below = frozen.at(-1) ?? "";
  await createOverlay({ base: below, baseFormat: "qcow2", path: top, sizeMib, durable: persistent });
  const lowest = { ...base, path: (await findBase(folder)) ?? base.path };
  return [overlayOn(lowest, [...frozen, top], persistent)];
}

function unusable(source: string, why: string, remediation: string): SmolVMError {
  return new SmolVMError("SNAPSHOT_UNUSABLE", `The copy of machine "${source}" can't be restored: ${why}.`, {
    remediation: `${remediation}, or make the snapshot again.`,
  });
}
