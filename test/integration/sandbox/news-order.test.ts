import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connectTo } from "../../../src/host/local-socket.ts";
import type { Booted } from "../../../src/sandbox/machine/machine.ts";
import { HolderConnection } from "../../../src/sandbox/remote/connection.ts";
import { GuestAccess } from "../../../src/sandbox/remote/guest-access.ts";
import { RemoteMachine } from "../../../src/sandbox/remote/machine.ts";
import type { MachineRecord } from "../../../src/state/machine-record.ts";
import { eventually } from "../../support/eventually.ts";
import { type HeldMachine, holdMachine } from "../../support/held-machine.ts";
import { ended, recordOf } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

const disk = vi.hoisted(() => ({ reading: Promise.resolve(), writing: Promise.resolve() }));
vi.mock("../../../src/state/machine-folder.ts", async (original) => {
  const real = await original<typeof import("../../../src/state/machine-folder.ts")>();
  return {
    ...real,
    /** What was read, later. */
    findMachine: async (...args: Parameters<typeof real.findMachine>) => {
      const { reading } = disk;
      const found = await real.findMachine(...args);
      await reading;
      return found;
    },
    writeMachineRecord: async (...args: Parameters<typeof real.writeMachineRecord>) => {
      await disk.writing;
      await real.writeMachineRecord(...args);
    },
  };
});

let folder: StateFolder;
let held: HeldMachine | null = null;
let newcomers: HolderConnection[] = [];

beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const newcomer of newcomers) newcomer.close();
  held?.server.close();
  [held, newcomers] = [null, []];
  await folder[Symbol.asyncDispose]();
});

/** The disk does nothing of that kind until what is given back is called. */
function holdUp(what: keyof typeof disk): () => void {
  let goOn = () => {};
  disk[what] = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  return goOn;
}

describe("how a machine stands", () => {
  it("is told to a newcomer in turn: an earlier state, written on a slow disk, never follows a later one", async () => {
    held = await holdMachine(folder, "box");
    const { machine } = held;
    const goOn = holdUp("writing");
    machine.status.change("paused", "pause");
    await new Promise(setImmediate);
    machine.status.change("running", "resume");
    const phases: string[] = [];
    const newcomer = new HolderConnection(await connectTo(machine.folder?.control ?? ""), (news) => {
      if (news.kind === "record") phases.push(Object(news.record).status.phase);
    });
    newcomers.push(newcomer);
    await eventually(() => held?.server.clientCount === 1, "the newcomer is there");
    await sleep(50);
    goOn();
    await machine.records.settled();
    await eventually(() => phases.length > 0, "it was told");
    machine.status.change("error", "run", "its QEMU ended");
    await eventually(() => phases.at(-1) === "error", "all was told");
    expect(phases).toEqual(["running", "error"]);
  });

  it("is told to nobody any more once the machine was deleted", async () => {
    held = await holdMachine(folder, "box");
    const { machine } = held;
    const goOn = holdUp("writing");
    const told: string[] = [];
    machine.records.onRecord(({ status }) => told.push(status.phase));
    machine.status.change("paused", "pause");
    await new Promise(setImmediate);
    const newcomer = machine.records.tellFirst(machine, ({ status }) => told.push(status.phase));
    machine.status.change("deleted", "delete");
    goOn();
    await newcomer;
    expect(told).toEqual([]);
  });

  it("is what its holder says, also where its files were looked at before, which told of another end", async () => {
    const put = await folder.put("box", {
      ...{ persistent: true, wasBooted: true, owner: ended(folder.me) },
      status: { phase: "running", reason: "", since: "2026-01-02T03:04:05.678Z" },
    });
    const remote = new RemoteMachine(put.record, put.paths);
    const goOn = holdUp("reading");
    const looking = remote.look();
    await sleep(50);
    disk.reading = Promise.resolve();
    held = await holdMachine(folder, "box", put.record);
    await remote.look();
    expect(remote.status.phase).toBe("running");
    const phases: string[] = [];
    remote.status.onChange(({ status }) => phases.push(status));
    goOn();
    await looking;
    expect(phases).toEqual([]);
    await remote.close();
  });
});

describe("the way into a guest", () => {
  const report: Booted["report"] = {
    ...{ accelerator: "tcg", acceleratorReason: "", startedAt: "2026-01-02T03:04:05.678Z" },
    ...{ way: "cold", wayReason: "", phases: [] },
  };
  const boot = (startedAt: string, pid = 5): NonNullable<MachineRecord["boot"]> => ({
    qemu: { pid, startedAt, bootId: "b" },
    ...{ sshPort: 1, hostKey: "", cgroup: null, report },
  });

  it("stays the same where it could not be read when its QEMU started, and is another with another QEMU", () => {
    const access = new GuestAccess(recordOf("box").spec, folder.state, {
      isPaused: () => false,
      mend: () => {},
    });
    const follow = (next: MachineRecord["boot"]) => {
      const before = access.reached?.runner;
      access.follow(next, "");
      return access.reached?.runner === before;
    };
    follow(boot("100"));
    expect([follow(boot("")), follow(boot("100"))]).toEqual([true, true]);
    expect([follow(boot("101")), follow(boot("101", 6)), follow(null)]).toEqual([false, false, false]);
  });
});
