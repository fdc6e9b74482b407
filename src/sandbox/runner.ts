import { writeFile } from "node:fs/promises";
import type { QemuMachine } from "../qemu/machine.ts";
import { formatKnownHosts } from "../ssh/commands.ts";
import type { ClientKey, HostKey } from "../ssh/keys.ts";
import { type CommandRunner, createCommandRunner } from "../ssh/runner.ts";
import type { MachinePaths } from "../state/paths.ts";
import type { AcceleratorChoice } from "./accelerator.ts";
import type { Machine } from "./machine.ts";

/** What reaches a machine that is up: it connects with the first command. */
export async function openRunner(
  { spec, status }: Machine,
  qemu: QemuMachine,
  known: { key: ClientKey; hostKey: HostKey; choice: AcceleratorChoice; folder: MachinePaths },
): Promise<CommandRunner> {
  const port = qemu.sshPort ?? 0;
  await writeFile(known.folder.knownHosts, formatKnownHosts(port, known.hostKey.publicLine), { mode: 0o600 });
  return createCommandRunner({
    vmId: spec.id,
    died: qemu.exited.then(({ reason }) => reason),
    isPaused: () => status.phase === "paused",
    target: async () => ({
      host: "127.0.0.1",
      port,
      user: spec.sshUser,
      privateKey: known.key.privateKey,
      hostKey: known.hostKey.publicBlob,
      emulated: known.choice.accelerator === "tcg",
    }),
  });
}
