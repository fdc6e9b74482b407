import { formatSshConfig } from "../../ssh/openssh/command-lines.ts";
import { sshConfigPattern, statePaths } from "../../state/paths.ts";
import type { Handle } from "../machine/handle.ts";
import { requireSsh } from "./reach.ts";

/** A "Host" block by which OpenSSH's own programs reach the machine by its name. */
export async function sshConfigOf(handle: Handle): Promise<string> {
  requireSsh(handle.spec);
  await handle.settled();
  const verb = "give the SSH configuration of";
  const { sshPort } = handle.reach(verb);
  const { paths, spec, state, status } = handle;
  if (sshPort === null || paths === null) throw status.refusal(verb);
  const keyPath = spec.sshKeyPath ?? state.clientKey;
  return formatSshConfig(spec.name, {
    port: sshPort,
    user: spec.sshUser,
    keyPath,
    knownHosts: paths.knownHosts,
  });
}

/** The line for ~/.ssh/config with which `ssh NAME` finds every machine that runs: each has its block in its own folder. */
export function sshConfigInclude(): string {
  const pattern = sshConfigPattern(statePaths());
  // OpenSSH's versions differ in how a word is quoted here, and all know the character that stands for any.
  return `Include ${pattern.replaceAll(/[\s"'\\%$#[\]{}~]/g, "?")}`;
}
