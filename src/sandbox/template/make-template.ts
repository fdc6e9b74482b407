import { rm } from "node:fs/promises";
import { openFile } from "../../host/read-file.ts";
import type { MachineDescription } from "../../qemu/description.ts";
import { launchMachine, type QemuMachine } from "../../qemu/machine.ts";
import { SHELL_PORT_NAMES } from "../../qemu/serial-ports.ts";
import type { CommandRunner } from "../../ssh/command/command-runner.ts";
import { generateHostKey, type HostKey } from "../../ssh/openssh/keys.ts";
import type { LeftShell } from "../../ssh/parked/parked-shell.ts";
import type { SavedMachinePaths, StatePaths } from "../../state/paths.ts";
import { openTemplateDraft, publishTemplate, type Template } from "../../state/templates.ts";
import { bounded } from "../../util/bounded.ts";
import type { BootContext } from "../boot/boot-context.ts";
import { bringUp, MOST_INITRAMFS_BYTES, ownDisks, seededInitramfs } from "../boot/cold.ts";
import { PhaseClock } from "../boot/phases.ts";
import { describe } from "../boot/prepare.ts";
import { runnerFor, type SavedShell } from "../boot/runner.ts";
import { withSecondTry } from "../boot/second-try.ts";
import { Run } from "../command/run.ts";
import type { Setup } from "../machine/boot-setup.ts";
import { newMachineId } from "../machine/machine-id.ts";
import type { MachineSpec } from "../machine/spec.ts";

/** For what to make a template, and under what key it will be found. */
export interface TemplatePlan {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly setup: Setup;
  readonly key: string;
  readonly inputs: Record<string, unknown>;
  readonly warn: (message: string) => void;
}

/** What a template's machine is called until its clones have names of their own: as an image is, so that no file has to be rewritten. */
const HOSTNAME = "localhost";
/** The worker that waits for a clone's first command, its login shell, and two that pass on what they write. */
const LEFT_PROCESSES = 4;
const QUIET_MS = 20_000;
const SAVE_MS = 30_000;
const IDENTITY_MS = 20_000;
const PORTS_MS = 5_000;

/**
 * Boots a machine for nobody, uses it once so that what commands need is in its memory, lets it come to rest, and saves it. Then
 * goes on with what was saved, as a clone would, and saves that: what a kernel does only the first time that it finds itself to be a
 * clone (threads, cached files and folders) no clone has to do again.
 * It dies with this process, its half-made files too. Needs the lock of the key.
 */
export async function makeTemplate(plan: TemplatePlan, context: BootContext): Promise<Template> {
  return withSecondTry(
    plan.setup,
    () => makeOnce(plan, context),
    ({ message }) => plan.warn(`The template is begun once more: ${message}`),
  );
}

async function makeOnce(plan: TemplatePlan, context: BootContext): Promise<Template> {
  const { state, key, inputs, setup } = plan;
  if (!setup.files.image) throw new Error("only a machine of an image can be a template");
  const { name, digest } = setup.files.image;
  const image = { name, digest };
  const draft = await openTemplateDraft(state, key);
  try {
    const hostKey = generateHostKey();
    const description = await describeTemplate(plan, draft, hostKey, context.signal);
    const making = { plan, draft, hostKey, description, signal: context.signal };
    const booted = await bringUp({ description, ...launchInto(making) }, context, new PhaseClock());
    const left = await useAndSave(making, booted, leaveFirstShell);
    const shell = await useAndSave(making, await rehearse(making), (...at) => useAsClone(...at, left));
    return await publishTemplate(state, draft, { key, image, inputs, hostKey: hostKey.publicLine, shell });
  } catch (error) {
    await rm(draft.folder, { recursive: true, force: true }).catch(() => {}); // it is the next maker's
    throw error;
  }
}

interface Making {
  readonly plan: TemplatePlan;
  readonly draft: SavedMachinePaths;
  readonly hostKey: HostKey;
  readonly description: MachineDescription;
  readonly signal: AbortSignal;
}

async function describeTemplate(
  { spec, setup }: TemplatePlan,
  draft: SavedMachinePaths,
  hostKey: HostKey,
  signal: AbortSignal,
): Promise<MachineDescription> {
  const { files, key } = setup;
  const seed = {
    ...{ hostname: HOSTNAME, machineId: newMachineId(), network: spec.network },
    authorizedKey: key.publicLine,
    hostKey: hostKey.dropbear,
  };
  const limits = { signal, mostBytes: MOST_INITRAMFS_BYTES }; // a template is of an image of ours
  const initramfs = await seededInitramfs(files, draft.initramfs, seed, limits);
  return describe(spec, setup, {
    name: "smolvm-template",
    initramfs,
    disks: await ownDisks(files.disk, draft.folder, spec.diskMib, false, signal),
    memoryFile: { path: draft.memory, shared: true },
  });
}

function launchInto({ plan, draft }: Pick<Making, "plan" | "draft">) {
  const { state, setup, warn } = plan;
  return { launch: { state, qemu: setup.qemu, ephemeralFolder: draft.folder }, setup, warn };
}

/** The saved machine, as the only clone that keeps its memory. */
async function rehearse(making: Making): Promise<QemuMachine> {
  const { draft, description, signal } = making;
  const { file: saved } = await openFile(draft.state);
  try {
    const qemu = await launchMachine(
      { ...description, initramfs: null },
      { ...launchInto(making).launch, saved: { fd: saved.fd, leavesMemoryOut: true }, signal },
    );
    const identity = { hostname: HOSTNAME, machineId: newMachineId(), wasInUse: false };
    return await qemu.goOnAs(identity, { timeoutMs: IDENTITY_MS, signal }).then(
      () => qemu,
      (error) => qemu.kill().then(() => Promise.reject(error)),
    );
  } finally {
    await saved.close();
  }
}

/** Gives the shell that `use` has left in what is saved; null where there is none. QEMU is ended. */
async function useAndSave(
  making: Making,
  qemu: QemuMachine,
  use: (making: Making, qemu: QemuMachine) => Promise<LeftShell | null>,
): Promise<LeftShell | null> {
  const { draft, signal } = making;
  try {
    const shell = await use(making, qemu);
    await qemu.waitQuiet(shell ? LEFT_PROCESSES : 0, { timeoutMs: QUIET_MS, signal });
    await qemu.save({ statePath: draft.state, timeoutMs: SAVE_MS, signal });
    return shell;
  } finally {
    await qemu.kill();
  }
}

async function leaveFirstShell(making: Making, qemu: QemuMachine): Promise<LeftShell | null> {
  return withRunner(making, qemu, null, (runner) => runner.leaveShell(qemu.serial, SHELL_PORT_NAMES));
}

/** As the start of a clone does: the first command goes to the shell that was left, and the others over a connection. */
async function useAsClone(
  making: Making,
  qemu: QemuMachine,
  left: LeftShell | null,
): Promise<LeftShell | null> {
  const { plan, signal } = making;
  const { spec: vm } = plan;
  const early = left && { left, isFresh: true, hostname: HOSTNAME };
  return withRunner(making, qemu, early, async (runner) => {
    const run = (command: string | string[], shell: "raw" | "login") =>
      new Run(async () => ({ runner, vm }), command, { shell, signal });
    await run("true", "login");
    await run("true", "raw");
    await run(["true"], "raw");
    if (!left) return runner.leaveShell(qemu.serial, SHELL_PORT_NAMES);
    await bounded(qemu.serial.free, { operation: "Waiting for the ports", timeoutMs: PORTS_MS, signal });
    return runner.leaveShell(qemu.reopenSerial(), SHELL_PORT_NAMES);
  });
}

/** Its connection is closed again: what lived through it would live in every clone. Only the shell that is left there is to. */
async function withRunner<T>(
  { plan, hostKey }: Making,
  qemu: QemuMachine,
  early: SavedShell | null,
  body: (runner: CommandRunner) => Promise<T>,
): Promise<T> {
  const { spec, setup } = plan;
  const to = { vm: spec, user: spec.sshUser, hostKey, isPaused: () => false, early };
  const runner = runnerFor(qemu, setup, to);
  try {
    return await body(runner);
  } finally {
    await runner.close();
  }
}
