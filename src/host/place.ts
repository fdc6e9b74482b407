import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Where a process runs. Its id means nothing anywhere else. "" stands for what is not told here. */
export interface Place {
  /** Differs after every start of the host, and is the same in all of its containers. */
  readonly bootId: string;
  /** In which its id and the time of its start are counted. */
  readonly namespaces: string;
  /** The same host after its next start; not told in a container, where nothing is known to be the host's. */
  readonly host: string;
}

interface Here extends Place {
  /** Whether /proc tells of the processes that have their ids as this one has its own. */
  readonly showsOwn: boolean;
}

let known: Here | undefined;

/** Where this process runs. Throws the system's error where that can't be found out at this moment. */
export function here(): Here {
  known ??= process.platform === "linux" ? lookOnLinux() : lookOnMac();
  return known;
}

/** The first PID namespace of a Linux kernel has this number: who is in it is in no container. */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

function lookOnLinux(): Here {
  const pidNamespace = unlessHidden(() => readlinkSync("/proc/self/ns/pid"));
  // A kernel without time namespaces counts everybody's time from its own start.
  const time = unlessHidden(() => readlinkSync("/proc/self/ns/time"));
  const isHost = pidNamespace === FIRST_PID_NAMESPACE;
  const ids = /^NSpid:\s*(.*)$/m.exec(unlessHidden(() => readFileSync("/proc/self/status", "utf8")))?.[1];
  return {
    bootId: unlessHidden(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    namespaces: pidNamespace && `${pidNamespace} ${time}`.trim(),
    host: isHost ? hostOf(unlessHidden(() => readFileSync("/etc/machine-id", "utf8").trim())) : "",
    // One number for each namespace from that of /proc down to the process's own.
    showsOwn: ids === undefined || ids.trim().split(/\s+/).length === 1,
  };
}

/** There are no namespaces. */
function lookOnMac(): Here {
  const ask = (file: string, ...args: string[]) =>
    execFileSync(file, args, { encoding: "utf8", timeout: 5_000, stdio: ["ignore", "pipe", "ignore"] });
  const registry = ask("ioreg", "-rd1", "-c", "IOPlatformExpertDevice");
  return {
    bootId: ask("sysctl", "-n", "kern.bootsessionuuid").trim(),
    namespaces: "all",
    host: hostOf(/"IOPlatformUUID" = "([^"]+)"/.exec(registry)?.[1] ?? ""),
    showsOwn: true,
  };
}

/** Copies of one disk have one machine id: hosts that were made of them differ by their names. */
function hostOf(machineId: string): string {
  if (!/^[0-9A-Fa-f-]{32,36}$/.test(machineId)) return "";
  return createHash("sha256").update(`smolvm ${machineId} ${hostname()}`).digest("hex").slice(0, 32);
}

/** A hardened container hides some of these. Any other reason may be gone the next time, and is not to be remembered. */
const HIDDEN: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EACCES", "EPERM", "EINVAL"]);

function unlessHidden(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (HIDDEN.has(String((error as NodeJS.ErrnoException).code))) return "";
    throw error;
  }
}
