import { resolve } from "node:path";
import { checkOptionKeys, refuse } from "../util/options.ts";
import { quoteWord } from "./quote.ts";

/** What it takes to reach one machine by OpenSSH's own programs. */
export interface SshAddress {
  readonly port: number;
  readonly user: string;
  /** The private key's file. */
  readonly keyPath: string;
  /** A file that holds the machine's host key and nothing else. */
  readonly knownHosts: string;
}

export interface SshCommandOptions {
  /** Another user of the guest. */
  sshUser?: string;
  /** Another private key, whose public half the guest must know. */
  keyPath?: string;
}

/** Command lines ready to paste. In the copying ones `SOURCE` and `DESTINATION` stand for the two paths. */
export interface SshCommands {
  readonly ssh: string;
  readonly scpToGuest: string;
  readonly scpFromGuest: string;
  readonly sftp: string;
  readonly rsyncToGuest: string;
}

const HOST = "127.0.0.1";

/** ValidationError for options that can't be meant. */
export function formatSshCommands(address: SshAddress, options: SshCommandOptions = {}): SshCommands {
  const { user, keyPath } = checkedOptions(address, options);
  const pinned = pinnedOptions(keyPath, address.knownHosts).map(quoteWord).join(" ");
  const login = `${user}@${HOST}`;
  const shell = `ssh -p ${address.port} ${pinned}`;
  return {
    ssh: `${shell} ${login}`,
    scpToGuest: `scp -P ${address.port} ${pinned} SOURCE ${login}:DESTINATION`,
    scpFromGuest: `scp -P ${address.port} ${pinned} ${login}:SOURCE DESTINATION`,
    sftp: `sftp -P ${address.port} ${pinned} ${login}`,
    rsyncToGuest: `rsync -a -e ${quoteWord(shell)} SOURCE ${login}:DESTINATION`,
  };
}

/** The machine's line of a known_hosts file. */
export function formatKnownHosts(port: number, publicLine: string): string {
  return `[${HOST}]:${port} ${publicLine}\n`;
}

/** A block for ssh_config: the machine by its name, and by nothing but its own key. */
export function formatSshConfig(name: string, { port, user, keyPath, knownHosts }: SshAddress): string {
  const settings = {
    HostName: HOST,
    Port: `${port}`,
    User: user,
    IdentityFile: quotedForConfig(keyPath),
    IdentitiesOnly: "yes",
    StrictHostKeyChecking: "yes",
    UserKnownHostsFile: quotedForConfig(knownHosts),
    GlobalKnownHostsFile: "/dev/null",
    LogLevel: "ERROR",
  };
  const lines = Object.entries(settings).map(([key, value]) => `  ${key} ${value}\n`);
  return `Host ${name}\n${lines.join("")}`;
}

function checkedOptions(address: SshAddress, options: SshCommandOptions): { user: string; keyPath: string } {
  checkOptionKeys(options, ["sshUser", "keyPath"], "sshCommands()");
  const { sshUser = address.user, keyPath = address.keyPath } = options;
  if (typeof sshUser !== "string" || !/^[a-z_][a-z0-9_-]{0,31}$/.test(sshUser)) {
    throw refuse("sshUser", sshUser, "a user name of the guest");
  }
  if (typeof keyPath !== "string" || keyPath === "" || keyPath.includes("\0"))
    throw refuse("keyPath", keyPath, "a path");
  return { user: sshUser, keyPath: resolve(keyPath) };
}

function pinnedOptions(keyPath: string, knownHosts: string): string[] {
  const settings = [
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile=${quotedForConfig(knownHosts)}`,
    "GlobalKnownHostsFile=/dev/null",
  ];
  return ["-i", keyPath, ...settings.flatMap((setting) => ["-o", setting])];
}

/** The option takes several files apart by blanks: a path with a blank stands in double quotes. `%` starts a token. */
function quotedForConfig(path: string): string {
  const escaped = path.replaceAll("%", "%%");
  return /\s/.test(escaped) ? `"${escaped}"` : escaped;
}
