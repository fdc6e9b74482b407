import { writeWhole } from "../../host/whole-file.ts";
import type { QemuMachine } from "../../qemu/machine.ts";
import {
  type CommandRunner,
  createCommandRunner,
  type EarlyAccess,
} from "../../ssh/command/command-runner.ts";
import { formatKnownHosts, formatSshConfig } from "../../ssh/openssh/command-lines.ts";
import type { HostKey } from "../../ssh/openssh/keys.ts";
import type { Named } from "../../util/names.ts";
import type { Setup } from "../machine/boot-setup.ts";
import type { Machine } from "../machine/machine.ts";

/** What is known of the server beforehand: nobody else can show this key. */
export type ServerKey = Pick<HostKey, "publicBlob" | "publicLine">;

/** A shell that a machine was saved with, and the machine's new name. */
export type SavedShell = Pick<EarlyAccess, "left" | "isFresh" | "hostname">;

/** For other SSH clients: where the machine is, with its key pinned. */
export async function writeSshFiles(
  { spec, folder }: Machine,
  { sshPort }: QemuMachine,
  { key }: Setup,
  hostKey: ServerKey,
): Promise<void> {
  if (!folder) return;
  const port = sshPort ?? 0;
  const { knownHosts, sshConfig } = folder;
  const address = { port, user: spec.sshUser, keyPath: key.path, knownHosts };
  await Promise.all([
    writeWhole(knownHosts, formatKnownHosts(port, hostKey.publicLine), { durable: false }),
    writeWhole(sshConfig, sshConfigOrWhyNot(spec.name, address), { durable: false }),
  ]);
}

/** A path that OpenSSH can't be told keeps no machine from starting. */
function sshConfigOrWhyNot(...[name, address]: Parameters<typeof formatSshConfig>): string {
  try {
    return formatSshConfig(name, address);
  } catch (error) {
    return `# ${(error as Error).message}\n`;
  }
}

/** What reaches a machine that is up: it connects with the first command. */
export function openRunner(
  { spec, status }: Machine,
  qemu: QemuMachine,
  setup: Setup,
  hostKey: ServerKey,
  early: SavedShell | null = null,
): CommandRunner {
  return runnerFor(qemu, setup, {
    vm: spec,
    user: spec.sshUser,
    hostKey,
    isPaused: () => status.phase === "paused",
    early,
  });
}

export function runnerFor(
  qemu: QemuMachine,
  { key, choice }: Setup,
  to: { vm: Named; user: string; hostKey: ServerKey; isPaused: () => boolean; early: SavedShell | null },
): CommandRunner {
  return createCommandRunner({
    vm: to.vm,
    died: qemu.exited.then(({ reason }) => reason.replace(/\.$/, "")),
    isPaused: to.isPaused,
    mend: () => qemu.console.askToMend(),
    early: to.early && {
      ...to.early,
      ports: qemu.serial,
      endCommand: (cgroup, workerPid) => qemu.console.endCommand(cgroup, workerPid),
    },
    target: async () => ({
      host: "127.0.0.1",
      port: qemu.sshPort ?? 0,
      user: to.user,
      privateKey: key.privateKey,
      hostKey: to.hostKey.publicBlob,
      emulated: choice.accelerator === "tcg",
    }),
  });
}
