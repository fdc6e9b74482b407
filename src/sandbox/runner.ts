import { writeFile } from "node:fs/promises";
import type { QemuMachine } from "../qemu/machine.ts";
import { formatKnownHosts, formatSshConfig } from "../ssh/commands.ts";
import type { HostKey } from "../ssh/keys.ts";
import { type CommandRunner, createCommandRunner, type EarlyAccess } from "../ssh/runner.ts";
import type { Machine } from "./machine.ts";
import type { Setup } from "./setup.ts";

/** What is known of the server beforehand: nobody else can show this key. */
export type ServerKey = Pick<HostKey, "publicBlob" | "publicLine">;

/** What reaches a machine that is up: it connects with the first command. The key is pinned for other SSH clients too. */
export async function openRunner(
  { spec, status, folder }: Machine,
  qemu: QemuMachine,
  setup: Setup,
  hostKey: ServerKey,
  early: EarlyAccess | null = null,
): Promise<CommandRunner> {
  if (folder) {
    const port = qemu.sshPort ?? 0;
    const { knownHosts, sshConfig } = folder;
    const address = { port, user: spec.sshUser, keyPath: setup.key.path, knownHosts };
    await Promise.all([
      writeFile(knownHosts, formatKnownHosts(port, hostKey.publicLine), { mode: 0o600 }),
      writeFile(sshConfig, formatSshConfig(spec.name, address), { mode: 0o600 }),
    ]);
  }
  return runnerFor(qemu, setup, {
    vmId: spec.id,
    user: spec.sshUser,
    hostKey,
    isPaused: () => status.phase === "paused",
    early,
  });
}

export function runnerFor(
  qemu: QemuMachine,
  { key, choice }: Setup,
  to: { vmId: string; user: string; hostKey: ServerKey; isPaused: () => boolean; early: EarlyAccess | null },
): CommandRunner {
  return createCommandRunner({
    vmId: to.vmId,
    died: qemu.exited.then(({ reason }) => reason.replace(/\.$/, "")),
    isPaused: to.isPaused,
    early: to.early,
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
