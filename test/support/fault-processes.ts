import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A process of one test's world, as /proc shows it. */
export interface WorldProcess {
  readonly pid: number;
  readonly parent: number;
  readonly role: "qemu" | "guardian" | "supervisor" | "actor" | "other";
  /** The folder that it belongs to; "" where it is marked with none. */
  readonly folder: string;
  readonly command: string;
  readonly isStopped: boolean;
}

/** All that live and have this folder for temporary files: every process that the library starts takes that over. */
export function listProcesses(temporary: string): WorldProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readOne(Number(name), temporary));
}

/** Ports that the processes listen at. */
export function listPorts(pids: readonly number[]): number[] {
  const listening = new Map(
    readText("/proc/net/tcp")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === "0A")
      .map((fields) => [fields[9] ?? "", Number.parseInt(fields[1]?.split(":")[1] ?? "", 16)]),
  );
  return pids.flatMap((pid) =>
    listSockets(pid)
      .map((inode) => listening.get(inode))
      .filter((port) => port !== undefined),
  );
}

/** The paths below `folder` at which somebody listens. */
export function listSocketPaths(folder: string): string[] {
  const paths = readText("/proc/net/unix")
    .split("\n")
    .map((line) => line.split(" ").at(-1) ?? "");
  return paths.filter((path) => path.startsWith(`${folder}/`));
}

function readOne(pid: number, temporary: string): WorldProcess[] {
  const variables = readText(`/proc/${pid}/environ`).split("\0");
  if (!variables.includes(`TMPDIR=${temporary}`)) return [];
  const command = readText(`/proc/${pid}/cmdline`).split("\0").join(" ").trim();
  const stat = readText(`/proc/${pid}/stat`);
  const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (command === "" || /[ZX]/.test(state) || stat === "") return [];
  const mark = variables.find((each) => each.startsWith("SMOLVM_MACHINE_FOLDER="));
  const folder = mark?.slice(mark.indexOf("=") + 1) ?? "";
  return [
    { pid, parent: Number(parent), role: roleOf(command), folder, command, isStopped: /[Tt]/.test(state) },
  ];
}

function roleOf(command: string): WorldProcess["role"] {
  if (/^\S*qemu-system/.test(command)) return "qemu";
  if (/guardian\.sh/.test(command)) return "guardian";
  if (/supervisor-main\.js/.test(command)) return "supervisor";
  return /fault-actor\.mjs/.test(command) ? "actor" : "other";
}

function listSockets(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => readSocket(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function readSocket(link: string): string[] {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.slice(1) ?? [];
  } catch {
    return [];
  }
}

/** Any process may end meanwhile. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
