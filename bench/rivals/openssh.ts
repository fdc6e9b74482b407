import { once } from "node:events";
import { captureOutput, endGroup, startGroup } from "../processes.ts";

const CONNECT_TIMEOUT_MS = 60_000;
/** Neither the user's nor the system's configuration takes part; OpenSSH's own defaults do. */
const PLAIN = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"];

/** The words of a shell command line, as a shell sees them: what sshCommands() gives is meant to be pasted into one. */
export async function splitShellWords(commandLine: string): Promise<string[]> {
  const script = `set -- ${commandLine}; printf '%s\\0' "$@"`;
  const { stdout } = await captureOutput(["/bin/sh", "-c", script]);
  return stdout.split("\0").slice(0, -1);
}

/** `ssh` and its arguments up to the host, with more options put in front. */
export function withOptions(ssh: readonly string[], ...options: readonly string[]): string[] {
  const [program = "ssh", ...rest] = ssh;
  return [program, ...PLAIN, ...options, ...rest];
}

/** A connection that nobody has checked the host key of: for the bench's own guests on 127.0.0.1 only. */
export function sshTo(port: number, keyPath: string): string[] {
  const unchecked = [
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
  ];
  return ["ssh", ...PLAIN, ...unchecked, "-i", keyPath, "-p", String(port), "root@127.0.0.1"];
}

/** How long OpenSSH takes from its start to an authenticated connection, in milliseconds. No command is run. */
export async function timeHandshake(ssh: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const connection = await connect(ssh);
  const tookMs = performance.now() - startMs;
  await connection.close();
  return tookMs;
}

export interface MasterConnection {
  /** The argv to put before a command. */
  readonly ssh: readonly string[];
  close(): Promise<void>;
}

/** A ControlMaster, and the command line with which others go through it. */
export async function openMaster(ssh: readonly string[], socketPath: string): Promise<MasterConnection> {
  const path = ["-o", `ControlPath=${socketPath}`];
  const { close } = await connect(withOptions(ssh, "-o", "ControlMaster=yes", ...path));
  return { ssh: withOptions(ssh, "-o", "ControlMaster=no", ...path), close };
}

/** OpenSSH runs LocalCommand as soon as it is authenticated; nothing else tells. */
async function connect(ssh: readonly string[]): Promise<{ close(): Promise<void> }> {
  const [program = "ssh", ...rest] = ssh;
  const argv = [
    program,
    "-N",
    "-o",
    "PermitLocalCommand=yes",
    "-o",
    "LocalCommand=echo authenticated",
    ...rest,
  ];
  const child = startGroup(argv, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const abort = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
    const authenticated = once(child.stdout ?? child, "data", { signal: abort });
    const ended = once(child, "exit", { signal: abort }).then(([status]) => {
      throw new Error(`${program} ended with status ${status} before it was connected.`);
    });
    await Promise.race([authenticated, ended]);
    ended.catch(() => undefined);
    authenticated.catch(() => undefined);
    return { close: () => endGroup(child) };
  } catch (error) {
    await endGroup(child);
    throw error;
  }
}
