import { rm } from "node:fs/promises";
import { SmolVMError } from "../errors.ts";
import type { MachineDisk } from "../qemu/description.ts";
import { createOverlay } from "../qemu/disk.ts";
import { launchMachine, type QemuMachine } from "../qemu/machine.ts";
import { SHELL_PORT_NAMES } from "../qemu/serial-ports.ts";
import { findBase, identityOfFile, linkFile, listLayers, shareDisk } from "../state/disk-layers.ts";
import { diskBase, diskLayer, type SavedMachinePaths } from "../state/paths.ts";
import type { SavedFacts } from "../state/snapshot-record.ts";
import { openSnapshotDraft, type SavedMachine } from "../state/snapshots.ts";
import { bounded } from "../util/bounded.ts";
import type { Booted, Machine } from "./machine.ts";
import { bootedOf } from "./pause.ts";
import { describe, type Setup } from "./setup.ts";
import { deviceModel } from "./template-key.ts";

/** Each copy adds one to the disk of its source, and QEMU looks through them all for what nobody has written. */
const MOST_LAYERS = 64;
/** How long a copy waits for the guest's kernel to speak. */
const SPEECH_MS = 5_000;

export interface CopyOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Saves a machine while it runs: memory, processors, devices and disk as they are at one moment, in a draft that is the caller's to
 * publish or to remove. Where it throws, nothing is left of it and the machine goes on. One at a time.
 */
export async function copyMachine(
  machine: Machine,
  verb: string,
  options: CopyOptions,
): Promise<SavedMachine> {
  await machine.starting;
  while (machine.copying) await machine.copying;
  machine.status.require(verb, "running", "paused");
  const booted = bootedOf(machine, verb);
  requireCloning(machine, booted, verb);
  const work = copyOnce(machine, booted, options);
  const copying: Promise<void> = work.then(
    () => undefined,
    () => undefined,
  );
  machine.copying = copying;
  try {
    return await work;
  } finally {
    machine.copying = null;
  }
}

async function copyOnce(machine: Machine, booted: Booted, options: CopyOptions): Promise<SavedMachine> {
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
    const base = await settleBase(booted.setup, draft);
    return { paths: draft, facts: factsOf(machine, booted, { pauseMs, base, shell }), record: null };
  } catch (error) {
    await target?.kill();
    await rm(draft.folder, { recursive: true, force: true });
    throw error;
  } finally {
    isWanted = false;
    void lending?.then((lent) => lent?.letGo());
  }
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
  { note, ...options }: CopyOptions & { readonly note: () => void },
): Promise<number> {
  const goesOn = () => machine.status.phase === "running";
  const standsStill = setup.choice.accelerator === "tcg";
  const live = { folder: draft.folder, goesOn, standsStill, ...options };
  const { folder, spec } = machine;
  const layers = folder ? await listLayers(folder.folder) : [];
  const top = layers.at(-1);
  if (!folder || top === undefined) return source.copyInto(target, { ...live, atPause: async () => note() });
  if (layers.length >= MOST_LAYERS) throw tooManyLayers(spec.name);
  const path = diskLayer(folder.folder, layers.length);
  await createOverlay({ base: top, baseFormat: "qcow2", path, sizeMib: spec.diskMib });
  let isFrozen = false;
  try {
    const freezer = await source.prepareFreeze(path, spec.persistent);
    try {
      const atPause = async () => {
        note();
        await freezer.freeze();
        isFrozen = true;
      };
      const pauseMs = await source.copyInto(target, { ...live, atPause });
      await shareDisk(folder.folder, draft.folder, layers.length);
      return pauseMs;
    } finally {
      if (!isFrozen) await freezer.discard().catch(() => {}); // QEMU is gone then
    }
  } finally {
    if (!isFrozen) await rm(path, { force: true });
  }
}

/** An image's disk never changes, but it may go: a link keeps it. A disk of the caller's own is his. */
async function settleBase({ files }: Setup, { folder }: SavedMachinePaths): Promise<SavedFacts["base"]> {
  if (files.disk === null) return null;
  const { path, format, bytes } = files.disk;
  const isHere =
    (await findBase(folder)) !== undefined ||
    (files.image !== null && (await linkFile(path, diskBase(folder))));
  return { format, bytes, elsewhere: isHere ? null : { path, identity: await identityOfFile(path) } };
}

function factsOf(
  machine: Machine,
  { setup, hostKey }: Booted,
  found: Pick<SavedFacts, "pauseMs" | "base" | "shell">,
): SavedFacts {
  const { spec } = machine;
  const { source } = spec;
  const { kind: _, ...own } = source;
  return {
    createdAt: new Date().toISOString(),
    ...found,
    sourceName: spec.name,
    image: setup.files.image,
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
