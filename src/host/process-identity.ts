import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { hostBootId } from "./platform.ts";
import { runTool } from "./run-tool.ts";

/** A process for good: its id alone is given to another one sooner or later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the host's own words: only good for comparing. */
  readonly startedAt: string;
  readonly bootId: string;
}

/** Decodes an identity that was written to a file. */
export const ProcessIdentitySchema = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  startedAt: v.string(),
  bootId: v.string(),
});

/** The process that has this id now; undefined where none has, or it is dead and only not yet collected. */
export async function findProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const startedAt = process.platform === "linux" ? await linuxStart(pid) : await psStart(pid);
  return startedAt === undefined ? undefined : { pid, startedAt, bootId: hostBootId() };
}

/** Whether that very process still lives. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  if (identity.bootId !== hostBootId()) return false;
  const now = await findProcess(identity.pid);
  return now?.startedAt === identity.startedAt;
}

async function linuxStart(pid: number): Promise<string | undefined> {
  try {
    return parseProcStat(await readFile(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Start time from a line of /proc/<pid>/stat; undefined for a zombie. The name in it may hold anything, brackets too. */
export function parseProcStat(line: string): string | undefined {
  const afterName = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const state = afterName[0];
  const startTicks = afterName[19];
  if (state === "Z" || state === "X" || startTicks === undefined || !/^\d+$/.test(startTicks))
    return undefined;
  return startTicks;
}

async function psStart(pid: number): Promise<string | undefined> {
  const { exitCode, stdout } = await runTool("ps", ["-o", "stat=,lstart=", "-p", String(pid)], {
    timeoutMs: 5_000,
    env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
  });
  return exitCode === 0 ? parsePsLine(stdout) : undefined;
}

/** Start time from a line of `ps -o stat=,lstart=`; undefined for a zombie. */
export function parsePsLine(line: string): string | undefined {
  const match = /^(\S+)\s+(.+)$/.exec(line.trim());
  if (!match?.[1] || match[1].startsWith("Z")) return undefined;
  return match[2]?.replace(/\s+/g, " ");
}
