import { type FileHandle, open, rm } from "node:fs/promises";
import { readFromStart } from "../../host/whole-file.ts";
import type { MachineDisk } from "../../qemu/description.ts";
import { launchMachine, type QemuMachine } from "../../qemu/machine.ts";
import type { CommandRunner } from "../../ssh/command/command-runner.ts";
import { parseHostKey } from "../../ssh/openssh/keys.ts";
import { preloadSsh } from "../../ssh/transport/ssh-connection.ts";
import { DamageError } from "../../state/damage.ts";
import { requireContent } from "../../state/file-stamp.ts";
import type { MachinePaths } from "../../state/paths.ts";
import {
  discardThisTemplate,
  doubtTemplate,
  openTemplateState,
  readTemplateDisk,
  requireSavedMemory,
  type Template,
  trustTemplate,
} from "../../state/templates.ts";
import { blameFor } from "../boot/blame.ts";
import type { BootContext } from "../boot/boot-context.ts";
import type { PhaseClock } from "../boot/phases.ts";
import { describe, launchOptions, overlayOn, takePlace } from "../boot/prepare.ts";
import { openRunner, writeSshFiles } from "../boot/runner.ts";
import { withSecondTry } from "../boot/second-try.ts";
import type { BaseDisk, Setup } from "../machine/boot-setup.ts";
import { isUnended, type Machine, type Started } from "../machine/machine.ts";
import { obtainTemplate } from "./obtain-template.ts";

/** How long a clone's first connection may take in the background. A command meanwhile waits for the same one. */
const PRECONNECT_MS = 10_000;

/** Starts a machine for the first time as a clone of a template. Where that can't be, or fails, it says why; only an abort and a taken name are thrown. */
export async function startClone(
  machine: Machine,
  found: Setup,
  context: BootContext,
  clock: PhaseClock,
): Promise<(Started & { readonly setup: Setup }) | { readonly whyCold: string }> {
  const whyNot = findReasonAgainst(machine, found);
  if (whyNot !== undefined) return { whyCold: whyNot };
  const { spec, state } = machine;
  const warn = (message: string) => machine.surroundings.logger.warn?.(message);
  void preloadSsh();
  const template = await obtainTemplate(spec, state, found, context, warn);
  clock.mark("template");
  if ("whyCold" in template) return template;
  const { folder, setup } = await takePlace(machine, found);
  const start = () => cloneTemplate(machine, setup, { template, folder }, context, clock);
  const beforeAgain = async (error: Error) => {
    if (isUnended(machine.launched)) throw error;
    clock.mark("failed clone");
    warn(`"${spec.name}" is started once more: ${error.message}`);
    await rm(folder.disk, { force: true });
  };
  const begunAtMs = Date.now();
  try {
    const started = await withSecondTry(setup, start, beforeAgain);
    void trustTemplate(template).catch(() => {});
    return { ...started, setup };
  } catch (error) {
    if (context.signal.aborted || isUnended(machine.launched)) throw error;
    clock.mark("failed clone");
    const why = `a clone could not be started: ${(error as Error).message}`;
    warn(`"${spec.name}" is booted instead: ${why}`);
    const blame = blameFor(error, { signal: context.signal, timeoutMs: cloneMs(context) });
    if (blame === "files" || (blame === "unclear" && (await doubtTemplate(template, begunAtMs))))
      await discardThisTemplate(state, template).catch(() => {}); // this machine does without it
    await rm(folder.disk, { force: true });
    return { whyCold: why };
  }
}

/** A machine that then has to be booted needs time as well. */
function cloneMs({ timeoutMs }: BootContext): number {
  return timeoutMs / 2;
}

function findReasonAgainst({ spec, wasBooted }: Machine, { files, qemu }: Setup): string | undefined {
  if (wasBooted) return "it has been started before and has a disk of its own";
  if (spec.template === "off") return 'template is "off"';
  if (files.image === null) return "its kernel and disk belong to no image";
  // Without the device that tells a kernel that it is a clone, all of them would draw the same random numbers.
  if (!qemu.features.cloning || !qemu.features.vmgenid) return "this QEMU can't start clones";
  return undefined;
}

async function cloneTemplate(
  machine: Machine,
  setup: Setup,
  { template, folder }: { readonly template: Template; readonly folder: MachinePaths },
  context: BootContext,
  clock: PhaseClock,
): Promise<Started> {
  const { spec } = machine;
  const deadlineMs = performance.now() + cloneMs(context);
  const left = () => ({ timeoutMs: Math.max(1, deadlineMs - performance.now()), signal: context.signal });
  const saved = await openTemplateState(template);
  let qemu: QemuMachine | undefined;
  let runner: CommandRunner | undefined;
  let damage: Promise<unknown> = Promise.resolve(undefined);
  try {
    const disks = await copyDisk(template, setup.files.disk, folder, spec.persistent);
    clock.mark("disk");
    const memoryFile = { path: template.paths.memory, shared: false };
    const checked = checkState(saved, template);
    damage = checked.then(
      () => undefined,
      (error) => error,
    );
    qemu = await launchMachine(
      describe(spec, setup, { name: spec.name, initramfs: null, disks, memoryFile }),
      {
        ...launchOptions(machine, folder, setup, () => clock.mark("spawn")),
        saved: { fd: saved.fd, leavesMemoryOut: true },
        ...left(),
      },
    );
    await checked;
    // QEMU has the memory open by now. Had another process put a new template in its place meanwhile, this would be a mixture.
    await requireSavedMemory(template, context.signal);
    const { shell, hostKey } = template.record;
    const early = shell && { left: shell, isFresh: true, hostname: spec.name };
    const serverKey = parseHostKey(hostKey);
    runner = openRunner(machine, qemu, setup, serverKey, early);
    clock.mark("restore");
    const identity = { hostname: spec.name, machineId: machine.machineId, wasInUse: false };
    await Promise.all([qemu.goOnAs(identity, left()), writeSshFiles(machine, qemu, setup, serverKey)]);
    clock.mark("identity");
    if (!early) runner.preconnect(PRECONNECT_MS);
    return { qemu, runner, hostKey };
  } catch (error) {
    await runner?.close();
    await qemu?.kill().catch(() => {}); // the first error is the one to tell
    throw (await damage) ?? (await damageOf(template, context.signal)) ?? error; // QEMU knows less of what is wrong with the files
  } finally {
    await saved.close();
  }
}

/** What the template wrote on its disk is little: a copy leaves the machine with a disk that lies on the image like any other. */
async function copyDisk(
  template: Template,
  base: BaseDisk | null,
  folder: MachinePaths,
  durable: boolean,
): Promise<readonly MachineDisk[]> {
  const content = base && (await readTemplateDisk(template));
  if (base === null || content === null) return [];
  const file = await open(folder.disk, "wx", 0o600);
  try {
    await file.writeFile(content);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
  return [overlayOn(base, [folder.disk], durable)];
}

/** What has become of its memory since it was found to be sound. */
async function damageOf(template: Template, signal: AbortSignal): Promise<DamageError | undefined> {
  return requireSavedMemory(template, signal).then(
    () => undefined,
    (error) => (error instanceof DamageError ? error : undefined),
  );
}

/** While QEMU starts. By place, because QEMU reads the same open file from where it stands. */
async function checkState(file: FileHandle, { record }: Template): Promise<void> {
  requireContent("state", await readFromStart(file, record.state.bytes + 1), record.state);
}
