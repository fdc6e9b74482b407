import { vi } from "vitest";
import { recordedMachine } from "../../src/sandbox/holder/new-machine.ts";
import { operations } from "../../src/sandbox/holder/operations.ts";
import { MachineServer } from "../../src/sandbox/holder/server.ts";
import type { Booted, Machine } from "../../src/sandbox/machine/machine.ts";
import type { Operation } from "../../src/sandbox/remote/protocol.ts";
import type { MachineRecord } from "../../src/state/machine-record.ts";
import type { StateFolder } from "./state-folder.ts";

/** A machine without a QEMU that this process holds and others can use: what it is asked does what a test says. */
export interface HeldMachine {
  readonly machine: Machine;
  readonly server: MachineServer;
  /** How often another process was said to use it, less how often that was taken back. */
  readonly shares: () => number;
}

type Known = Partial<MachineRecord> & { persistent?: boolean };

export async function holdMachine(
  folder: StateFolder,
  name: string,
  known: Known = {},
): Promise<HeldMachine> {
  const { paths, record } = await folder.put(name, {
    persistent: true,
    wasBooted: true,
    owner: folder.me,
    ...known,
  });
  const machine = recordedMachine(folder.state, paths, record, {});
  machine.owner = folder.me;
  let shares = 0;
  const share = () => {
    shares++;
    return () => void shares--;
  };
  const server = new MachineServer(machine);
  await server.listen();
  machine.booted = {
    qemu: { pid: process.pid, sshPort: null, answers: async () => true },
    runner: { share },
    hostKey: null,
    limits: null,
    report: REPORT,
  } as unknown as Booted;
  machine.status.change("starting", "start");
  machine.status.change("running", "start");
  await machine.records.settled();
  return { machine, server, shares: () => shares };
}

const REPORT: Booted["report"] = {
  ...{ accelerator: "tcg", acceleratorReason: "", startedAt: "2026-01-02T03:04:05.678Z" },
  ...{ way: "cold", wayReason: "", phases: [] },
};

/** What the machine does from now on where it is asked for that, until `vi.restoreAllMocks()`. */
export function perform(operation: Operation, work: (typeof operations)[Operation]): void {
  vi.spyOn(operations, operation).mockImplementation(work);
}
