import { readdir, readFile } from "node:fs/promises";
import * as v from "valibot";
import { HostError } from "../errors.ts";
import { here, type Place } from "./place.ts";
import { runTool } from "./run-tool.ts";

/** A process for good: its id alone is given to another one sooner or later, and to others elsewhere at the same time. */
export type ProcessIdentity = v.InferOutput<typeof ProcessIdentitySchema>;

/** Decodes an identity that was written to a file. Earlier versions wrote less. */
export const ProcessIdentitySchema = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** When it started, in the host's own words: only good for comparing. "": it could not be read. */
  startedAt: v.string(),
  bootId: v.string(),
  namespaces: v.optional(v.string()),
  host: v.optional(v.string()),
  /** The device and number of a socket at which it listens for as long as it holds that on which this is written. */
  socket: v.optional(v.string()),
});

/** Whether something lives, as far as that is proved. */
export interface Verdict {
  readonly life: "alive" | "dead" | "unknown";
  /** What keeps it from being told, to go after "because"; "" where it is known. */
  readonly why: string;
}

export const ALIVE: Verdict = { life: "alive", why: "" };
export const DEAD: Verdict = { life: "dead", why: "" };

export function unknown(why: string): Verdict {
  return { life: "unknown", why };
}

/** The process that has this id now; undefined where none has, or it is dead and only not yet collected. */
export async function findProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const { bootId, namespaces, host } = here();
  const seen = await look(pid);
  if (seen === "none") return undefined;
  return { pid, startedAt: seen.startedAt, bootId, namespaces, host };
}

let self: ProcessIdentity | undefined;

/** This process, as others know it. HostError where that can't be found out. */
export async function findSelf(): Promise<ProcessIdentity> {
  if (self) return self;
  const { bootId, namespaces, host } = here();
  const startedAt =
    process.platform === "linux"
      ? parseProcStat(await readFile("/proc/self/stat", "utf8"))
      : (await findProcess(process.pid))?.startedAt;
  if (!startedAt) throw new HostError("This process can't be found in the host's process table.");
  self = { pid: process.pid, startedAt, bootId, namespaces, host };
  return self;
}

/** Whether that very process is proved to live. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await judgeProcess(identity)).life === "alive";
}

/** Whether that very process lives, as far as this process can tell from where it is. */
export async function judgeProcess(identity: ProcessIdentity): Promise<Verdict> {
  let place: ReturnType<typeof here>;
  try {
    place = here();
  } catch (error) {
    return unknown((error as Error).message);
  }
  if (self && isSame(identity, self)) return ALIVE;
  if (identity.bootId !== "" && place.bootId !== "" && identity.bootId !== place.bootId)
    return judgeOtherBoot(identity, place);
  const elsewhere = whyElsewhere(identity, place);
  // What has the same id and started at the same moment is the same, wherever it was seen from.
  const seen = elsewhere && !place.showsOwn ? "none" : await look(identity.pid);
  if (seen !== "none" && seen.startedAt === identity.startedAt && seen.startedAt !== "") return ALIVE;
  if (elsewhere) return unknown(elsewhere);
  if (seen === "none") return DEAD;
  if (seen.startedAt !== "" && identity.startedAt !== "") return DEAD;
  return unknown(seen.why || `it could not be seen when process ${identity.pid} started`);
}

function isSame(a: ProcessIdentity, b: ProcessIdentity): boolean {
  const isSameProcess = a.pid === b.pid && a.startedAt === b.startedAt;
  return isSameProcess && a.bootId === b.bootId && a.namespaces === b.namespaces;
}

/** The host's last start ended all that ran before; but another host has other starts. */
function judgeOtherBoot(identity: ProcessIdentity, place: Place): Verdict {
  if (identity.host && identity.host === place.host) return DEAD;
  const when = `process ${identity.pid} ran on another host, or before this one was last started`;
  return unknown(`${when}, and nothing tells which`);
}

/** Why the id means nothing here, or might not; "" where it does. */
function whyElsewhere(identity: ProcessIdentity, place: Place): string {
  if (identity.bootId === "" || place.bootId === "")
    return "the host's boot id (/proc/sys/kernel/random/boot_id) can't be read";
  if (!identity.namespaces || !place.namespaces)
    return `it is not known in which PID namespace process ${identity.pid} has its id`;
  if (identity.namespaces === place.namespaces) return "";
  return `process ${identity.pid} belongs to another PID namespace: another container`;
}

/** "none" is proved. `startedAt` is "" where there is a process that can't be looked at, for the reason given. */
type Seen = "none" | { readonly startedAt: string; readonly why: string };

async function look(pid: number): Promise<Seen> {
  // Needs no file, which may be what this process has run out of, and sees what /proc may hide.
  if (!exists(pid)) return "none";
  if (!here().showsOwn) return { startedAt: "", why: "/proc shows the processes of another PID namespace" };
  try {
    const startedAt = process.platform === "linux" ? await linuxStart(pid) : await psStart(pid);
    return startedAt === undefined ? "none" : { startedAt, why: "" };
  } catch (error) {
    return exists(pid) ? { startedAt: "", why: (error as Error).message } : "none";
  }
}

/** The processes that this one can see. Only Linux tells. */
export async function listProcessIds(): Promise<number[]> {
  return (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

async function linuxStart(pid: number): Promise<string | undefined> {
  return parseProcStat(await readFile(`/proc/${pid}/stat`, "utf8"));
}

/** Start time from a line of /proc/<pid>/stat; undefined for a zombie. The name in it may hold anything, brackets too. */
export function parseProcStat(line: string): string | undefined {
  const afterName = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const state = afterName[0];
  const startTicks = afterName[19];
  if (state === "Z" || state === "X") return undefined;
  if (startTicks === undefined || !/^\d+$/.test(startTicks))
    throw new Error(`its line in /proc can't be understood: ${JSON.stringify(line.slice(0, 80))}`);
  return startTicks;
}

async function psStart(pid: number): Promise<string | undefined> {
  const { exitCode, stdout, stderr } = await runTool("ps", ["-o", "stat=,lstart=", "-p", String(pid)], {
    timeoutMs: 5_000,
    env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
  });
  if (exitCode === 0) return parsePsLine(stdout);
  throw new Error(`ps ended with ${exitCode}: ${stderr.trim() || "it shows no such process"}`);
}

/** Start time from a line of `ps -o stat=,lstart=`; undefined for a zombie. */
export function parsePsLine(line: string): string | undefined {
  const match = /^(\S+)\s+(.+)$/.exec(line.trim());
  if (match?.[1]?.startsWith("Z")) return undefined;
  if (!match?.[2]) throw new Error(`ps said ${JSON.stringify(line.slice(0, 80))}`);
  return match[2].replace(/\s+/g, " ");
}
