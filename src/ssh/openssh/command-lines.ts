import { resolve } from "node:path";
import { ValidationError } from "../../errors.ts";
import { parseUserName } from "../../util/names.ts";
import { checkOptionKeys, refuse } from "../../util/options.ts";
import { quoteWord } from "../../util/quote.ts";

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
  const words = pinnedOptions({ ...address, keyPath });
  const pinned = words.map(quoteWord).join(" ");
  const login = `${user}@${HOST}`;
  const remoteShell = ["ssh", "-p", `${address.port}`, ...words].map(quoteForRsync).join(" ");
  return {
    ssh: `ssh -p ${address.port} ${pinned} ${login}`,
    scpToGuest: `scp -P ${address.port} ${pinned} SOURCE ${login}:DESTINATION`,
    scpFromGuest: `scp -P ${address.port} ${pinned} ${login}:SOURCE DESTINATION`,
    sftp: `sftp -P ${address.port} ${pinned} ${login}`,
    rsyncToGuest: `rsync -a -e ${quoteWord(remoteShell)} SOURCE ${login}:DESTINATION`,
  };
}

/** The machine's line of a known_hosts file. */
export function formatKnownHosts(port: number, publicLine: string): string {
  return `[${HOST}]:${port} ${publicLine}\n`;
}

/**
 * A block for ssh_config: the machine by its name, and by nothing but its own key. What the user's defaults further down would say (an agent to
 * be forwarded, a jump host, a shared connection) holds for machines that are trusted, and a guest is none.
 */
export function formatSshConfig(name: string, { port, user, keyPath, knownHosts }: SshAddress): string {
  const settings = {
    HostName: HOST,
    Port: `${port}`,
    User: user,
    IdentityFile: quotedForConfig(keyPath),
    ...ONLY_OUR_KEY,
    UserKnownHostsFile: quotedForConfig(knownHosts),
    ...NOTHING_ELSE,
    LogLevel: "ERROR",
  };
  const lines = Object.entries(settings).map(([key, value]) => `  ${key} ${value}\n`);
  return `Host ${name}\n${lines.join("")}`;
}

const ONLY_OUR_KEY = {
  IdentitiesOnly: "yes",
  IdentityAgent: "none",
  PreferredAuthentications: "publickey",
  StrictHostKeyChecking: "yes",
  GlobalKnownHostsFile: "/dev/null",
};

/** OpenSSH 7.3 knows them all. Forwarded ports and variables that a user's `Host *` adds can't be taken back by a block. */
const NOTHING_ELSE = {
  PubkeyAuthentication: "yes",
  PasswordAuthentication: "no",
  KbdInteractiveAuthentication: "no",
  HostbasedAuthentication: "no",
  AddKeysToAgent: "no",
  ForwardAgent: "no",
  ForwardX11: "no",
  ForwardX11Trusted: "no",
  Tunnel: "no",
  ControlMaster: "no",
  ControlPath: "none",
  ProxyJump: "none",
  ProxyCommand: "none",
  PermitLocalCommand: "no",
  CanonicalizeHostname: "no",
  CheckHostIP: "no",
  UpdateHostKeys: "no",
  VerifyHostKeyDNS: "no",
};

function checkedOptions(address: SshAddress, options: SshCommandOptions): { user: string; keyPath: string } {
  checkOptionKeys(options, ["sshUser", "keyPath"], "sshCommands()");
  const { sshUser = address.user, keyPath = address.keyPath } = options;
  const user = parseUserName(sshUser, "sshUser");
  if (typeof keyPath !== "string" || keyPath === "" || keyPath.includes("\0"))
    throw refuse("keyPath", keyPath, "a path");
  return { user, keyPath: resolve(keyPath) };
}

/** No file of settings is read: what is pasted does the same for everybody. `-i` would not find a path with a percent sign. */
function pinnedOptions({ keyPath, knownHosts }: Pick<SshAddress, "keyPath" | "knownHosts">): string[] {
  const settings = {
    IdentityFile: quotedForConfig(keyPath),
    UserKnownHostsFile: quotedForConfig(knownHosts),
    ...ONLY_OUR_KEY,
  };
  return ["-F", "none", ...Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`])];
}

/** `%` starts a token, and several words are several files: what is no plain word stands in double quotes. */
function quotedForConfig(path: string): string {
  if (/[\n\r]|\$\{/.test(path))
    throw new ValidationError(
      `OpenSSH can't be given the path ${JSON.stringify(path)}: it would read a line's end or \${…} in it as something else.`,
      { remediation: "Move the state folder, or the key, to another path: SMOLVM_HOME=…", details: { path } },
    );
  const escaped = path.replaceAll("%", "%%").replaceAll(/[\\"]/g, "\\$&");
  return /[\s"'\\#=]/.test(path) ? `"${escaped}"` : escaped;
}

/** rsync takes `-e` apart by itself: within quotes a doubled one stands for itself. */
function quoteForRsync(word: string): string {
  return /[\s"']/.test(word) ? `'${word.replaceAll("'", "''")}'` : word;
}
