import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markOf } from "../../src/host/owned-processes.ts";
import { findProcess, type ProcessIdentity } from "../../src/host/process-identity.ts";
import { writeMachineRecord } from "../../src/state/machine-folder.ts";
import type { MachineRecord } from "../../src/state/machine-record.ts";
import { type MachinePaths, machinePaths, type StatePaths, statePaths } from "../../src/state/paths.ts";
import { recordOf } from "./machine-records.ts";

type Known = Parameters<typeof recordOf>[1];

/** A state folder of a test's own, which the library uses in this process too until it is disposed of. */
export interface StateFolder extends AsyncDisposable {
  readonly state: StatePaths;
  readonly me: ProcessIdentity;
  /** Writes down a machine as if somebody had made it. */
  put(name: string, known?: Known): Promise<{ readonly paths: MachinePaths; readonly record: MachineRecord }>;
  /** A process that belongs to a machine's folder, as its QEMU would; it is ended at the end. */
  spawnOwned(name: string): Promise<ProcessIdentity>;
}

export async function useStateFolder(): Promise<StateFolder> {
  const state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-state-")) });
  const ordinary = process.env.SMOLVM_HOME;
  process.env.SMOLVM_HOME = state.home;
  const children: ChildProcess[] = [];
  return {
    state,
    me: await identityOf(process.pid),
    async put(name, known) {
      const paths = machinePaths(state, name);
      const record = recordOf(name, known);
      await mkdir(paths.folder, { recursive: true });
      await writeMachineRecord(paths, record);
      return { paths, record };
    },
    async spawnOwned(name) {
      const env = { ...process.env, ...markOf(machinePaths(state, name).folder) };
      const child = spawn("sleep", ["300"], { env, stdio: "ignore" });
      children.push(child);
      await once(child, "spawn");
      return identityOf(child.pid ?? 0);
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      if (ordinary === undefined) delete process.env.SMOLVM_HOME;
      else process.env.SMOLVM_HOME = ordinary;
      await rm(state.home, { recursive: true, force: true, maxRetries: 5 }); // a record may still be under way
    },
  };
}

async function identityOf(pid: number): Promise<ProcessIdentity> {
  const found = await findProcess(pid);
  if (!found) throw new Error(`process ${pid} is not in the process table`);
  return found;
}
