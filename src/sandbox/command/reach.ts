import { CommandExecutionUnavailableError } from "../../errors.ts";
import {
  formatSshCommands,
  type SshCommandOptions,
  type SshCommands,
} from "../../ssh/openssh/command-lines.ts";
import { type Duration, parseDurationMs } from "../../util/duration.ts";
import { checkOptionKeys } from "../../util/options.ts";
import { startsSsh } from "../machine/boot-args.ts";
import type { Handle } from "../machine/handle.ts";
import type { MachineSpec } from "../machine/spec.ts";
import type { EnvironmentContext } from "./environment.ts";

export interface WaitForSshOptions {
  /** 60 s by default. */
  timeout?: Duration;
  signal?: AbortSignal;
}

export function canRunCommands({ source }: MachineSpec): boolean {
  return source.kind === "image" || startsSsh(source.bootArgs);
}

/** What a command needs of its machine. CommandExecutionUnavailableError, VMStateError. */
export async function commandContext(handle: Handle, verb: string): Promise<EnvironmentContext> {
  requireSsh(handle.spec);
  await handle.settled();
  handle.status.require(verb, "running");
  const { runner } = handle.reach(verb);
  if (!runner) throw handle.status.refusal(verb);
  return { runner, vm: handle.spec, environmentLock: handle.paths?.environmentLock ?? null };
}

/** Resolves once an authenticated connection stands. */
export async function waitForSsh(handle: Handle, options: WaitForSshOptions = {}): Promise<void> {
  checkOptionKeys(options, ["timeout", "signal"], "waitForSsh()");
  const timeoutMs = parseDurationMs(options.timeout ?? 60, "timeout");
  const { runner } = await commandContext(handle, "wait for SSH of");
  await runner.waitConnected({ timeoutMs, ...(options.signal && { signal: options.signal }) });
}

/** Whether the machine runs and its guest answers over SSH, within that time. */
export async function answersInTime(handle: Handle, timeoutMs: number): Promise<boolean> {
  if (handle.status.phase !== "running") return false;
  const { runner } = handle.reach("ask");
  return (await runner?.isResponsive(timeoutMs)) ?? false;
}

export function sshCommandsOf(handle: Handle, options: SshCommandOptions = {}): SshCommands {
  requireSsh(handle.spec);
  const verb = "give SSH commands of";
  const { sshPort } = handle.reach(verb);
  const { paths, spec, state, status } = handle;
  if (sshPort === null || paths === null) throw status.refusal(verb);
  const keyPath = spec.sshKeyPath ?? state.clientKey;
  return formatSshCommands(
    { port: sshPort, user: spec.sshUser, keyPath, knownHosts: paths.knownHosts },
    options,
  );
}

export function requireSsh(spec: MachineSpec): void {
  if (canRunCommands(spec)) return;
  throw new CommandExecutionUnavailableError(
    spec.id,
    'its boot arguments have no "init=/init", so it starts no SSH server.',
    "Create the machine with bootArgs: SSH_BOOT_ARGS (exported by smolvm), or leave kernelPath, rootfsPath and bootArgs out.",
    { vmName: spec.name },
  );
}
