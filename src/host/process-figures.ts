import { readFile } from "node:fs/promises";
import { runTool } from "./run-tool.ts";

/** What a process uses. */
export interface ProcessFigures {
  readonly residentBytes: number;
  /** Of all its threads, since it started. */
  readonly cpuSeconds: number;
  readonly ageSeconds: number;
  /** A signal has stopped it: it lives, and does nothing. */
  readonly isStopped: boolean;
}

/** Undefined where no such process lives. */
export async function readProcessFigures(pid: number): Promise<ProcessFigures | undefined> {
  if (process.platform !== "linux") return readFromPs(pid);
  try {
    const [stat, uptime] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile("/proc/uptime", "utf8"),
    ]);
    return parseProcFigures(stat, uptime);
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(String((error as NodeJS.ErrnoException).code))) return undefined;
    throw error;
  }
}

/** Linux counts in these whatever its own clock does: USER_HZ of proc(5) is 100, and pages are counted in 4096 bytes on x86-64 and nearly all ARM. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** From /proc/<pid>/stat and /proc/uptime; undefined for a zombie. The name in brackets may hold anything. */
export function parseProcFigures(stat: string, uptime: string): ProcessFigures | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = ""] = fields;
  const at = (index: number) => toNumber(fields[index]);
  if (!/^[RSDTtIWPK]$/.test(state)) return undefined;
  return whole({
    cpuSeconds: (at(11) + at(12)) / TICKS_PER_SECOND,
    ageSeconds: Math.max(0, inTicks(toNumber(uptime.split(" ")[0]) - at(19) / TICKS_PER_SECOND)),
    residentBytes: at(21) * PAGE_BYTES,
    isStopped: state === "T" || state === "t",
  });
}

/** Linux tells both in hundredths: further digits of a difference are the computer's arithmetic. */
function inTicks(seconds: number): number {
  return Math.round(seconds * TICKS_PER_SECOND) / TICKS_PER_SECOND;
}

async function readFromPs(pid: number): Promise<ProcessFigures | undefined> {
  const { exitCode, stdout } = await runTool("ps", ["-o", "stat=,rss=,time=,etime=", "-p", String(pid)], {
    timeoutMs: 5_000,
    env: { ...process.env, LC_ALL: "C" },
  });
  return exitCode === 0 ? parsePsFigures(stdout) : undefined;
}

/** From a line of `ps -o stat=,rss=,time=,etime=`: KiB, and times such as "1-02:03:04" or "3:04.05". */
export function parsePsFigures(line: string): ProcessFigures | undefined {
  const [state = "", kib, cpu = "", age = ""] = line.trim().split(/\s+/);
  if (!/^[A-Y]/.test(state)) return undefined;
  return whole({
    residentBytes: toNumber(kib) * 1024,
    cpuSeconds: parseClock(cpu),
    ageSeconds: parseClock(age),
    isStopped: state.startsWith("T"),
  });
}

/** Undefined where a figure is none: the line was another one than it should be. */
function whole(figures: ProcessFigures): ProcessFigures | undefined {
  const { residentBytes, cpuSeconds, ageSeconds } = figures;
  return [residentBytes, cpuSeconds, ageSeconds].every((each) => each >= 0) ? figures : undefined;
}

function parseClock(text: string): number {
  const [days, clock] = text.includes("-") ? text.split("-") : ["0", text];
  const seconds = (clock ?? "").split(":").reduce((sum, part) => sum * 60 + toNumber(part), 0);
  return toNumber(days) * 86_400 + seconds;
}

/** NaN for anything else: `Number` takes nothing for 0. */
function toNumber(text = ""): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}
