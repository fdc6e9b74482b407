import { rm } from "node:fs/promises";
import { SmolVMError } from "../../errors.ts";
import { syncFolder } from "../../host/whole-file.ts";
import type { MachineDisk } from "../../qemu/description.ts";
import { createOverlay } from "../../qemu/disk.ts";
import type { OfferedLayer } from "../../qemu/freeze.ts";
import { launchMachine, type QemuMachine } from "../../qemu/machine.ts";
import { SHELL_PORT_NAMES } from "../../qemu/serial-ports.ts";
import { listLayers, shareDisk } from "../../state/disk-layers.ts";
import { discardDraftFolder } from "../../state/draft-folder.ts";
import { GUEST_FORMAT, shareHeld } from "../../state/held-files.ts";
import { diskLayer, type SavedMachinePaths } from "../../state/paths.ts";
import type { SavedFacts } from "../../state/snapshot-record.ts";
import { openSnapshotDraft, type SavedMachine } from "../../state/snapshots.ts";
import { bounded } from "../../util/bounded.ts";
import { deviceModel } from "../boot/device-model.ts";
import { inTime, type SharedTime } from "../boot/in-time.ts";
import { describe } from "../boot/prepare.ts";
import type { Setup } from "../machine/boot-setup.ts";
import type { CopyOptions } from "../machine/handle.ts";
import type { Booted, Machine } from "../machine/machine.ts";
import { bootedOf } from "../machine/machine.ts";
import { lookAtQemu } from "../machine/run-state.ts";

/** Each copy adds one to the disk of its source, and QEMU looks through them all for what nobody has written. */
const MOST_LAYERS = 64;
/** How long a copy waits for the guest's kernel to speak. */
const SPEECH_MS = 5_000;
/** How long the caller of a copy waits until its source is as it is to be, where QEMU is slow. */
const SETTLE_MS = 1_000;

/**
 * Saves a machine while it runs: memory, processors, devices and disk as they are at one moment, in a draft that is the caller's to
 * publish or to remove. Where it throws, nothing is left of it but what QEMU may have open, and the machine goes on. One at a time.
 */
export async function copyMachine(
  machine: Machine,
  verb: string,
  { timeoutMs, signal }: CopyOptions,
): Promise<SavedMachine> {
  const operation = `Copying machine "${machine.spec.name}"`;
  const copy = (time: SharedTime) => copyInTurn(machine, verb, { timeoutMs, signal: time.signal });
  return inTime({ operation, timeoutMs, signal }, copy);
}

async function copyInTurn(machine: Machine, verb: string, options: CopyOptions): Promise<SavedMachine> {
  const wait = (work: Promise<void>) => bounded(work, { operation: "Copying the machine", ...options });
  if (machine.starting) await wait(machine.starting);
  while (machine.copying) await wait(machine.copying);
  machine.status.require(verb, "running", "paused");
  const booted = bootedOf(machine, verb);
  requireCloning(machine, booted, verb);
  const open: Promise<unknown>[] = [];
  const settle = (each: Promise<unknown>) => {
    each.catch(() => {}); // what breaks a copy is told by the copy itself
    open.push(each);
  };
  const work = copyOnce(machine, booted, { ...options, settle });
  const over = endCopy(machine, booted, work, open);
  machine.copying = over;
  try {
    return await work;
  } finally {
    await bounded(over, { operation: "Ending the copy", timeoutMs: SETTLE_MS }).catch(() => {});
  }
}

/** The copy is over when QEMU has answered all that it was asked for it; the caller may have been told long before. */
async function endCopy(
  machine: Machine,
  booted: Booted,
  work: Promise<unknown>,
  open: readonly Promise<unknown>[],
): Promise<void> {
  await Promise.allSettled([work]);
  await Promise.allSettled(open);
  machine.copying = null;
  await lookAtQemu(machine, booted).catch(() => {}); // its end is told elsewhere
}

interface CopyWork extends CopyOptions {
  /** For what has to be over before anything else may be asked of the machine. */
  readonly settle: (open: Promise<unknown>) => void;
}

async function copyOnce(machine: Machine, booted: Booted, options: CopyWork): Promise<SavedMachine> {
  const draft = await openSnapshotDraft(machine.state);
  let target: QemuMachine | undefined;
  const { qemu, runner } = booted;
  let isWanted = true;
  const openPorts = () => {
    if (isWanted) return qemu.reopenSerial();
    throw new Error("the copy is over"); // one that was given up before its turn came for a shell
  };
  const lending = runner?.lendShell(openPorts, SHELL_PORT_NAMES);
  try {
    const speech = letSpeak(machine, booted, options);
    target = await launchTarget(machine, booted.setup, draft, options);
    await speech;
    const lent = await bounded(lending ?? Promise.resolve(null), {
      operation: "Copying the machine",
      ...options,
    });
    let shell: SavedFacts["shell"] = null;
    const note = () => {
      shell = lent?.asItIs() ?? null;
    };
    const pauseMs = await copyFrozen(machine, booted, target, draft, { ...options, note });
    await target.save({ statePath: draft.state, ...options });
    await target.kill();
    await rm(draft.initramfs, { force: true });
    const base = await settleBase(machine, draft);
    return { paths: draft, facts: factsOf(machine, booted, { pauseMs, base, shell }), record: null };
  } catch (error) {
    await removeDraft(draft, target);
    throw error;
  } finally {
    isWanted = false;
    void lending?.then((lent) => lent?.letGo());
  }
}

/** Its files stay where its QEMU can't be ended: the collection of drafts removes them when this process is gone. */
async function removeDraft(draft: SavedMachinePaths, target: QemuMachine | undefined): Promise<void> {
  const remove = async () => {
    await target?.kill();
    await discardDraftFolder(draft.folder);
  };
  await remove().catch(() => {});
}

/**
 * Whether a copy has random numbers of its own is heard from its kernel, which a user may have told to be quiet. A guest that can't answer,
 * because it stands still or is too busy, is copied all the same: most kernels do speak.
 */
async function letSpeak(machine: Machine, { qemu, runner }: Booted, { signal }: CopyOptions): Promise<void> {
  if (runner && machine.status.phase === "running")
    await qemu.waitSpeech({ timeoutMs: SPEECH_MS, signal }).catch(() => {});
}

/** A machine of the same kind that only takes in the other's state: its memory is the file from which copies will start. It never runs. */
async function launchTarget(
  { spec, state }: Machine,
  setup: Setup,
  draft: SavedMachinePaths,
  options: CopyOptions,
): Promise<QemuMachine> {
  const disks: MachineDisk[] = [];
  if (setup.files.disk) {
    // Nobody reads from it.
    const path = draft.initramfs;
    await createOverlay({ base: "/", baseFormat: "raw", path, sizeMib: spec.diskMib });
    disks.push({ path, format: "qcow2", readOnly: false, durable: false, backing: null });
  }
  const memoryFile = { path: draft.memory, shared: true };
  const description = describe(spec, setup, {
    name: `${spec.name}-copy`,
    initramfs: null,
    disks,
    memoryFile,
  });
  const launch = { state, qemu: setup.qemu, ephemeralFolder: draft.folder, receives: true, ...options };
  return launchMachine({ ...description, network: { mode: spec.network, sshForward: false } }, launch);
}

/** The disk is frozen at the very moment at which the memory is what was copied. */
async function copyFrozen(
  machine: Machine,
  { qemu: source, setup }: Booted,
  target: QemuMachine,
  draft: SavedMachinePaths,
  { note, settle, ...options }: CopyWork & { readonly note: () => void },
): Promise<number> {
  const goesOn = () => machine.status.phase === "running";
  const standsStill = setup.choice.accelerator === "tcg";
  const live = { folder: draft.folder, goesOn, standsStill, ...options };
  const { folder, spec } = machine;
  const layers = folder ? await listLayers(folder.folder) : [];
  const top = layers.at(-1);
  const copy = (atPause: () => Promise<void>) => {
    const { result, settled } = source.copyInto(target, { ...live, atPause });
    settle(settled);
    return { result, settled };
  };
  if (!folder || top === undefined) return copy(async () => note()).result;
  if (layers.length >= MOST_LAYERS) throw tooManyLayers(spec.name);
  const path = diskLayer(folder.folder, layers.length);
  await createOverlay({
    base: top,
    baseFormat: "qcow2",
    path,
    sizeMib: spec.diskMib,
    durable: spec.persistent,
  });
  const layer = source.offerLayer(path, spec.persistent);
  let over: Promise<unknown> = Promise.resolve();
  try {
    await bounded(layer.opened, { operation: "Copying the machine", ...options });
    const { result, settled } = copy(async () => {
      note();
      await layer.freeze();
    });
    over = settled;
    const pauseMs = await result;
    await shareDisk(folder.folder, draft.folder, { count: layers.length, signal: options.signal });
    return pauseMs;
  } finally {
    settle(over.then(() => settleLayer(layer, path)));
  }
}

/** A layer that QEMU writes to stays, and is the machine's from then on; and so does one of which it does not tell. */
async function settleLayer(layer: OfferedLayer, path: string): Promise<void> {
  if ((await layer.settle()) === "free") await rm(path, { force: true });
}

/** A copy holds what its source does. And what is frozen now is the source's only way to what it had synced: its name is not to be lost. */
async function settleBase({ folder, held, spec }: Machine, draft: SavedMachinePaths) {
  if (folder) await shareHeld(folder.folder, draft.folder);
  if (folder && spec.persistent) await syncFolder(folder.folder);
  return held?.disk ?? null;
}

function factsOf(
  machine: Machine,
  { setup, hostKey }: Booted,
  found: Pick<SavedFacts, "pauseMs" | "base" | "shell">,
): SavedFacts {
  const { spec } = machine;
  const { source } = spec;
  const { kind: _, ...own } = source;
  const { image } = setup.files;
  return {
    createdAt: new Date().toISOString(),
    ...found,
    sourceName: spec.name,
    image: image && { name: image.name, digest: image.digest },
    own: "kernelPath" in own ? own : null,
    memoryMib: spec.memoryMib,
    cpus: spec.cpus,
    diskMib: spec.diskMib,
    network: spec.network,
    template: spec.template,
    sshUser: spec.sshUser,
    sshKeyPath: spec.sshKeyPath,
    labels: { ...spec.labels },
    accelerator: setup.choice.accelerator,
    qemuVersion: setup.qemu.features.version,
    guestFormat: GUEST_FORMAT,
    model: deviceModel(spec, setup),
    hostKey,
    clientKey: setup.key.publicLine,
  };
}

function requireCloning({ spec }: Machine, { setup }: Booted, verb: string): void {
  const { cloning, vmgenid, version } = setup.qemu.features;
  if (cloning && vmgenid) return;
  throw new SmolVMError(
    "SNAPSHOT_UNUSABLE",
    `Can't ${verb} machine "${spec.name}": QEMU ${version} can't make copies.`,
    {
      remediation: "Install QEMU 7.2 or newer.",
    },
  );
}

function tooManyLayers(name: string): SmolVMError {
  return new SmolVMError(
    "SNAPSHOT_UNUSABLE",
    `The disk of machine "${name}" lies in ${MOST_LAYERS} layers already.`,
    {
      remediation: "Each copy adds one: go on in a new machine, with what you need from this one.",
    },
  );
}
