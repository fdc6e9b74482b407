import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import type { QemuMachine } from "../qemu/machine.ts";
import { SERIAL_PORT_NAMES } from "../qemu/serial-ports.ts";
import type { LeftShell } from "../ssh/early-shell.ts";
import { generateHostKey, type HostKey } from "../ssh/keys.ts";
import type { SavedMachinePaths, StatePaths } from "../state/paths.ts";
import { openTemplateDraft, publishTemplate, type Template } from "../state/templates.ts";
import { bringUp, ownDisks, seededInitramfs } from "./cold.ts";
import { PhaseClock } from "./phases.ts";
import { Run } from "./run.ts";
import { runnerFor } from "./runner.ts";
import { type BootContext, describe, type Setup } from "./setup.ts";
import type { MachineSpec } from "./spec.ts";

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

/**
 * Boots a machine for nobody, uses it once so that what commands need is in its memory, lets it come to rest, and saves it.
 * It dies with this process, its half-made files too. Needs the lock of the key.
 */
export async function makeTemplate(plan: TemplatePlan, context: BootContext): Promise<Template> {
  const { state, key, inputs, setup } = plan;
  const { image } = setup.files;
  if (!image) throw new Error("only a machine of an image can be a template");
  const draft = await openTemplateDraft(state, key);
  try {
    const hostKey = generateHostKey();
    const qemu = await bootForSaving(plan, draft, hostKey, context);
    try {
      const shell = await warmUp(qemu, plan, hostKey, context.signal);
      await qemu.waitQuiet(shell ? LEFT_PROCESSES : 0, { timeoutMs: QUIET_MS, signal: context.signal });
      await qemu.save({ statePath: draft.state, timeoutMs: SAVE_MS, signal: context.signal });
      await qemu.kill();
      return await publishTemplate(state, draft, { key, image, inputs, hostKey: hostKey.publicLine, shell });
    } finally {
      await qemu.kill();
    }
  } catch (error) {
    await rm(draft.folder, { recursive: true, force: true });
    throw error;
  }
}

async function bootForSaving(
  { spec, state, setup, warn }: TemplatePlan,
  draft: SavedMachinePaths,
  hostKey: HostKey,
  context: BootContext,
): Promise<QemuMachine> {
  const { files, key, qemu } = setup;
  const initramfs = await seededInitramfs(files, draft.initramfs, {
    hostname: HOSTNAME,
    machineId: randomBytes(16).toString("hex"),
    authorizedKey: key.publicLine,
    hostKey: hostKey.dropbear,
  });
  const description = describe(spec, setup, {
    name: "smolvm-template",
    initramfs,
    disks: await ownDisks(files.disk, draft.folder, spec.diskMib, false),
    memoryFile: { path: draft.memory, shared: true },
  });
  const launch = { state, qemu, ephemeralFolder: draft.folder };
  return bringUp({ description, launch, setup, warn }, context, new PhaseClock());
}

/** The connection is closed again: what lived through it would live in every clone. Only the shell that it leaves is to. */
async function warmUp(
  qemu: QemuMachine,
  { spec, setup }: TemplatePlan,
  hostKey: HostKey,
  signal: AbortSignal,
): Promise<LeftShell | null> {
  const vmId = spec.id;
  const runner = runnerFor(qemu, setup, {
    vmId,
    user: spec.sshUser,
    hostKey,
    isPaused: () => false,
    early: null,
  });
  const run = (command: string | string[], shell: "raw" | "login") =>
    new Run(async () => ({ runner, vmId }), command, { shell, signal });
  try {
    await run("true", "raw");
    await run("true", "login");
    await run(["true"], "raw");
    return await runner.leaveShell(qemu.serial, SERIAL_PORT_NAMES);
  } finally {
    await runner.close();
  }
}
