import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

/** The environment variable by which the processes of one run are known. */
export const MARK = "SMOLVM_TEST_RUN";

export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

export function newMark(): string {
  return randomUUID();
}

/** The processes that carry `mark`, but for this one and those of the test runner, which end after it. */
export function listMarkedProcesses(mark: string): FoundProcess[] {
  return listAllMarked(mark).filter(({ pid, command }) => pid !== process.pid && !isTestRunner(command));
}

/** Whether a process lives that has nothing to do with this run. */
export function isForeignProcess(pid: number, mark: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return pid !== process.pid && !listAllMarked(mark).some((found) => found.pid === pid);
}

function listAllMarked(mark: string): FoundProcess[] {
  return process.platform === "linux" ? fromProc(mark) : fromPs(mark);
}

function fromProc(mark: string): FoundProcess[] {
  return (
    readdirSync("/proc")
      .filter(
        (name) => /^\d+$/.test(name) && readProc(name, "environ").split("\0").includes(`${MARK}=${mark}`),
      )
      .map((name) => ({ pid: Number(name), command: readProc(name, "cmdline").split("\0").join(" ").trim() }))
      // A zombie has no command line any more: it has ended.
      .filter(({ command }) => command !== "")
  );
}

/** Processes of others can't be read, and any may end meanwhile. */
function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function fromPs(mark: string): FoundProcess[] {
  const lines = execFileSync("ps", ["-axEww", "-o", "pid=,command="], { encoding: "utf8" }).split("\n");
  return lines
    .filter((line) => line.includes(`${MARK}=${mark}`) && !/ ps -axEww /.test(line))
    .map((line) => ({ pid: Number.parseInt(line, 10), command: line.trim().replace(/^\d+\s+/, "") }));
}

function isTestRunner(command: string): boolean {
  return (
    /node_modules\/(vitest|vite|@esbuild|esbuild|rolldown)\//.test(command) ||
    /\bvitest\b.*\brun\b/.test(command)
  );
}
