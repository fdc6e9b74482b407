import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BootError, OperationTimeoutError } from "../../../src/errors.ts";
import { listenAt } from "../../../src/host/local-socket.ts";
import { startMachine } from "../../../src/sandbox/lifecycle/start.ts";
import { removeMachine, stopMachine } from "../../../src/sandbox/lifecycle/stop.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { recordOf } from "../../../src/sandbox/machine/record-keeper.ts";
import { encodeError } from "../../../src/sandbox/remote/errors.ts";
import { RemoteMachine } from "../../../src/sandbox/remote/machine.ts";
import { onRequest, PROTOCOL, send } from "../../../src/sandbox/remote/protocol.ts";
import { runMachine } from "../../support/running-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
/** Whether QEMU can be ended, and how often that was tried. */
let qemu: { canEnd: boolean; kills: number };

beforeEach(async () => {
  folder = await useStateFolder();
  qemu = { canEnd: false, kills: 0 };
});
afterEach(() => folder[Symbol.asyncDispose]());

/** Its QEMU can't be ended, as where the disk does not answer. An error has stopped its guest. */
function stuck(): Promise<Machine> {
  const end = async () => {
    qemu.kills++;
    if (!qemu.canEnd) throw new OperationTimeoutError("Ending process 42", 30);
  };
  return runMachine(folder, {
    qemu: {
      pid: process.pid,
      runState: async () => ({ state: "failed", word: "io-error" }),
      resume: async () => {},
      shutdown: end,
      kill: end,
    },
    runner: { close: async () => {} },
  });
}

const isThere = (machine: Machine) => existsSync(machine.folder?.record ?? "");

describe("a machine whose QEMU could not be ended", () => {
  const stop = async (machine: Machine) => expect(stopMachine(machine)).rejects.toThrow("Ending process 42");
  const start = async (machine: Machine) =>
    expect(startMachine(machine)).rejects.toThrow("Ending process 42");
  const CALLS = [
    ["stop()", stop],
    ["start()", start],
  ] as const;

  it.each(CALLS)("by %s keeps its files until it is seen to be gone", async (_, fail) => {
    const machine = await stuck();
    await fail(machine);
    expect(machine.status.phase).toBe("error");
    await expect(removeMachine(machine)).rejects.toThrow("Ending process 42");
    expect(isThere(machine)).toBe(true);
    qemu.canEnd = true;
    await removeMachine(machine);
    expect(machine.folder).toBeNull();
  });

  it.each(CALLS)("by %s is not booted a second time, nor told to have stopped", async (_, fail) => {
    const machine = await stuck();
    await fail(machine);
    await start(machine);
    await stop(machine);
    expect(machine.status.phase).toBe("error");
    expect((await recordOf(machine)).boot?.qemu).toEqual(folder.me);
    qemu.canEnd = true;
    await stopMachine(machine);
    expect(machine.status.phase).toBe("stopped");
    expect((await recordOf(machine)).boot).toBeNull();
  });
});

describe("a first start whose supervisor could not end QEMU", () => {
  it("leaves the machine to that supervisor", async () => {
    const { paths, record } = await folder.put("box", { persistent: true, owner: folder.me });
    const calls: string[] = [];
    const server = await listenAt(paths.control, (socket) => {
      send(socket, { kind: "record", protocol: PROTOCOL, record });
      onRequest(socket, (request) => {
        if (request.kind !== "call") return;
        calls.push(request.operation);
        const status = { ...record.status, phase: "error", reason: "its QEMU could not be ended" };
        send(socket, { kind: "record", protocol: PROTOCOL, record: { ...record, status } });
        const seen = { commandLine: "qemu", qemuOutput: "", consoleTail: "" };
        send(socket, { kind: "error", id: request.id, error: encodeError(new BootError("no", seen)) });
      });
    });
    const machine = new RemoteMachine(record, paths);
    for (let round = 0; round < 2; round++) {
      await expect(machine.start({})).rejects.toThrow("no");
      expect([machine.status.phase, existsSync(paths.record)]).toEqual(["error", true]);
    }
    await expect(machine.remove()).rejects.toThrow("no");
    expect([calls, existsSync(paths.record)]).toEqual([["start", "start", "remove"], true]);
    await machine.close();
    server.close();
  });
});
