import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { machinePaths, statePaths } from "../../src/state/paths.ts";
import { isForeignProcess, listMarkedProcesses, MARK, newMark } from "./marked-processes.ts";

/** How long what was told to end may take to be gone. */
const GRACE_MS = 10_000;

/**
 * Once around the whole run: what the tests started and made must be gone at its end. Every process below this one inherits a mark in its
 * environment, so that one that has left its parent (QEMU runs in a session of its own) is known all the same; every temporary folder
 * goes into one of this run's.
 */
export default function watchForLeaks(): () => Promise<void> {
  const mark = newMark();
  process.env[MARK] = mark;
  const outerTmp = process.env.TMPDIR;
  const temporary = mkdtempSync(join(tmpdir(), "smolvm-test-"));
  process.env.TMPDIR = temporary;
  const machinesBefore = listMachines();
  return async () => {
    const leaks = await waitForNone(() => [
      ...listMarkedProcesses(mark).map(({ pid, command }) => `process ${pid}: ${command.slice(0, 200)}`),
      ...readdirSync(temporary)
        .filter(isOurs)
        .map((name) => `temporary file: ${join(temporary, name)}`),
      ...listMachines()
        .filter((name) => !machinesBefore.includes(name) && !isOfAnotherProgram(name, mark))
        .map((name) => `machine: ${name}`),
    ]);
    if (outerTmp === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = outerTmp;
    rmSync(temporary, { recursive: true, force: true });
    if (leaks.length === 0) return;
    for (const { pid } of listMarkedProcesses(mark)) process.kill(pid, "SIGKILL");
    // vitest prints what a teardown throws, but ends with 0.
    process.exitCode = 1;
    throw new Error(`The tests left behind:\n${leaks.join("\n")}`);
  };
}

async function waitForNone(find: () => string[]): Promise<string[]> {
  const endMs = Date.now() + GRACE_MS;
  for (;;) {
    const found = find();
    if (found.length === 0 || Date.now() > endMs) return found;
    await sleep(200);
  }
}

function isOurs(name: string): boolean {
  return name.startsWith("smolvm-");
}

function listMachines(): string[] {
  try {
    return readdirSync(statePaths().machines);
  } catch {
    return [];
  }
}

/** Somebody may use SmolVM on this host while the tests run. */
function isOfAnotherProgram(machine: string, mark: string): boolean {
  try {
    const record = JSON.parse(readFileSync(machinePaths(statePaths(), machine).record, "utf8"));
    return isForeignProcess(record.owner.pid, mark);
  } catch {
    return false;
  }
}
