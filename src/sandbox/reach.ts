import { CommandExecutionUnavailableError } from "../errors.ts";
import { formatSshCommands, type SshCommandOptions, type SshCommands } from "../ssh/commands.ts";
import { type Duration, parseDurationMs } from "../util/duration.ts";
import { checkOptionKeys } from "../util/options.ts";
import { startsSsh } from "./boot-args.ts";
import type { Machine } from "./machine.ts";
import { bootedOf } from "./pause.ts";
import type { CommandContext } from "./run.ts";

export interface WaitForSshOptions {
  /** 60 s by default. */
  timeout?: Duration;
  signal?: AbortSignal;
}

export function canRunCommands({ spec }: Machine): boolean {
  return spec.source.kind === "image" || startsSsh(spec.source.bootArgs);
}

/** What a command needs of its machine. CommandExecutionUnavailableError, VMStateError. */
export async function commandContext(machine: Machine, verb: string): Promise<CommandContext> {
  requireSsh(machine);
  await machine.starting;
  machine.status.require(verb, "running");
  const { runner } = bootedOf(machine, verb);
  if (!runner) throw machine.status.refusal(verb);
  return { runner, vmId: machine.spec.id };
}

/** Resolves once an authenticated connection stands. */
export async function waitForSsh(machine: Machine, options: WaitForSshOptions = {}): Promise<void> {
  checkOptionKeys(options, ["timeout", "signal"], "waitForSsh()");
  const timeoutMs = parseDurationMs(options.timeout ?? 60, "timeout");
  const { runner } = await commandContext(machine, "wait for SSH of");
  await runner.waitConnected({ timeoutMs, ...(options.signal && { signal: options.signal }) });
}

/** Whether the machine runs and its guest answers over SSH, within that time. */
export async function answersInTime(machine: Machine, timeoutMs: number): Promise<boolean> {
  if (machine.status.phase !== "running") return false;
  return (await machine.booted?.runner?.isResponsive(timeoutMs)) ?? false;
}

export function sshCommandsOf(machine: Machine, options: SshCommandOptions = {}): SshCommands {
  requireSsh(machine);
  const { qemu } = bootedOf(machine, "give SSH commands of");
  const { folder, spec, state } = machine;
  if (qemu.sshPort === null || folder === null) throw machine.status.refusal("give SSH commands of");
  const keyPath = spec.sshKeyPath ?? state.clientKey;
  return formatSshCommands(
    { port: qemu.sshPort, user: spec.sshUser, keyPath, knownHosts: folder.knownHosts },
    options,
  );
}

function requireSsh(machine: Machine): void {
  if (canRunCommands(machine)) return;
  throw new CommandExecutionUnavailableError(
    machine.spec.id,
    'its boot arguments have no "init=/init", so it starts no SSH server.',
    "Create the machine with bootArgs: SSH_BOOT_ARGS (exported by smolvm), or leave kernelPath, rootfsPath and bootArgs out.",
  );
}
