import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VMNotFoundError, VMStateError } from "../../../src/errors.ts";
import { listenAt } from "../../../src/host/local-socket.ts";
import { acquireLock } from "../../../src/host/lock.ts";
import { getMachine } from "../../../src/sandbox/find.ts";
import { handleFor } from "../../../src/sandbox/handle-for.ts";
import { recordOf as recordOfHeld } from "../../../src/sandbox/machine/record-keeper.ts";
import { connectHolder } from "../../../src/sandbox/remote/holder.ts";
import { RemoteMachine } from "../../../src/sandbox/remote/machine.ts";
import { onRequest, PROTOCOL, send } from "../../../src/sandbox/remote/protocol.ts";
import { statusChanges } from "../../../src/sandbox/watch/status-changes.ts";
import { findMachine, removeMachineFolder } from "../../../src/state/machine-folder.ts";
import { encodeMachineRecord } from "../../../src/state/machine-record.ts";
import { eventually } from "../../support/eventually.ts";
import { type HeldMachine, holdMachine, perform } from "../../support/held-machine.ts";
import { ended } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let held: HeldMachine[] = [];
let servers: Server[] = [];

beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const { server } of held) server.close();
  for (const server of servers) server.close();
  [held, servers] = [[], []];
  await folder[Symbol.asyncDispose]();
});

async function hold(name: string): Promise<HeldMachine> {
  const machine = await holdMachine(folder, name);
  held.push(machine);
  return machine;
}

/** Somebody who listens where a holder would, and does what a test says. */
async function pretend(name: string, greet: (socket: Socket) => void) {
  const put = await folder.put(name, { persistent: true, wasBooted: true, owner: folder.me });
  servers.push(await listenAt(put.paths.control, greet));
  return put;
}

describe("the way to a holder", () => {
  const nobody = () => {};

  it("is none where nobody listens, or the one who did has died", async () => {
    const { paths, record } = await folder.put("box");
    expect(await connectHolder(paths, record.spec.id, nobody)).toBeNull();
    await writeFile(paths.control, "");
    expect(await connectHolder(paths, record.spec.id, nobody)).toBeNull();
  });

  it("is none where he hangs up at once, or says that another one holds it", async () => {
    for (const greet of [
      (socket: Socket) => socket.end(),
      (socket: Socket) => send(socket, { kind: "elsewhere" }),
    ]) {
      const { paths, record } = await pretend("box", greet);
      expect(await connectHolder(paths, record.spec.id, nobody)).toBeNull();
    }
  });

  it("is none where another machine has the name by now", async () => {
    const { machine } = await hold("box");
    if (!machine.folder) throw new Error("it has no folder");
    const heard = vi.fn();
    expect(await connectHolder(machine.folder, "vm-another", heard)).toBeNull();
    expect(heard).not.toHaveBeenCalledWith(expect.objectContaining({ kind: "record" }));
    const connection = await connectHolder(machine.folder, machine.spec.id, heard);
    expect(connection?.isOpen).toBe(true);
    connection?.close();
  });

  it.each([
    ["another protocol", 9, {}, `it speaks protocol 9, this one ${PROTOCOL}`],
    ["a later record", PROTOCOL, { formatVersion: 9 }, "its record has format 9"],
    ["a record that can't be read", PROTOCOL, { wasBooted: "yes" }, "its record is bad: wasBooted"],
  ])("to one who speaks %s is an error that says so", async (_, protocol, change, message) => {
    const put = await pretend("box", (socket) =>
      send(socket, { kind: "record", protocol, record: { ...put.record, ...change } }),
    );
    const looking = new RemoteMachine(put.record, put.paths).look();
    await expect(looking).rejects.toMatchObject({
      code: "OTHER_VERSION",
      message: expect.stringContaining(`Machine "box" is held by another version of smolvm: ${message}`),
      remediation: "Stop the machine with that version. Then this one can start it.",
    });
  });

  it("to a supervisor of another version tells how to shut the guest down without it", async () => {
    const put = await pretend("box", (socket) => {
      send(socket, { kind: "record", protocol: 1, record: {} });
      socket.end(); // while the error is being put together
    });
    const release = await acquireLock(put.paths.lock, { operation: "Holding it" });
    await expect(connectHolder(put.paths, put.record.spec.id, nobody)).rejects.toMatchObject({
      code: "OTHER_VERSION",
      remediation: `Stop the machine with that version, or end its supervisor, which shuts the guest down: kill ${process.pid}. Then this one can start it.`,
    });
    await release();
  });

  it("to one who says nothing is an error after ten seconds", { timeout: 20_000 }, async () => {
    let asked = 0;
    const { paths, record } = await pretend("box", () => asked++);
    const since = performance.now();
    const handle = await new RemoteMachine(record, paths).look();
    await expect(handle.stop({})).rejects.toMatchObject({
      code: "UNRESPONSIVE",
      details: { isHolder: true },
    });
    expect(asked).toBe(1); // a call doesn't wait for what the look before it has found
    expect(performance.now() - since).toBeLessThan(12_000);
    handle.pause().catch(() => {});
    await eventually(() => asked === 2, "the caller who was told may have mended it");
  });

  it("that turns into nonsense later is closed, and nothing is thrown into the program", async () => {
    let socket: Socket | undefined;
    const put = await pretend("box", (each) => {
      socket = each.resume();
      send(each, { kind: "record", protocol: PROTOCOL, record: put.record });
    });
    const machine = await new RemoteMachine(put.record, put.paths).look();
    send(socket as Socket, { kind: "record", protocol: PROTOCOL, record: { formatVersion: 3 } });
    await once(socket as Socket, "close");
    await eventually(() => machine.status.phase === put.record.status.phase, "the files tell how it stands");
  });
});

describe("a machine of another process", () => {
  it("is found by name and by id, with the state it is in, and follows each change", async () => {
    const { machine } = await hold("box");
    const byName = await getMachine("box");
    const byId = await getMachine(machine.spec.id);
    expect([byName.status.phase, byId.status.phase]).toEqual(["running", "running"]);
    machine.status.change("paused", "pause");
    await eventually(() => byName.status.phase === "paused" && byId.status.phase === "paused", "both follow");
    expect(await byName.describe()).toMatchObject({ name: "box", status: "paused", ownerPid: process.pid });
    await Promise.all([byName.close(), byId.close()]);
  });

  it("that there is not is told of with the nearest name", async () => {
    await folder.put("box-1", { persistent: true, wasBooted: true });
    await expect(getMachine("box-2")).rejects.toThrow(VMNotFoundError);
    await expect(getMachine("box-2")).rejects.toMatchObject({
      remediation: expect.stringContaining('"box-1"'),
    });
  });

  it("whose holder dies is in error, with the reason, and so says each call", async () => {
    const { machine, server } = await hold("box");
    const handle = await getMachine("box");
    const changes = statusChanges(handle);
    expect((await changes.next()).value).toMatchObject({ status: "running" });
    const { paths } = await folder.put("box", {
      ...(await recordOfHeld(machine)),
      owner: ended(folder.me),
    });
    server.close();
    expect((await changes.next()).value).toMatchObject({
      status: "error",
      reason: "its supervisor ended while it was running",
    });
    await changes.return();
    await expect(handle.pause()).rejects.toThrow(VMStateError);
    await expect(handle.pause()).rejects.toThrow("its supervisor ended while it was running");
    expect(() => handle.reach("run a command in")).toThrow(VMStateError);
    expect(await readdir(paths.folder)).toContain("machine.json");
  });

  it("that is deleted by another process is deleted here, and its name may be another's at once", async () => {
    const first = await hold("box");
    const handle = await getMachine("box");
    if (!first.machine.folder) throw new Error("it has no folder");
    first.server.close();
    await removeMachineFolder(first.machine.folder);
    const second = await hold("box");
    await handle.settled();
    await eventually(() => handle.status.phase === "deleted", "it is seen as deleted");
    for (const call of [handle.stop({}), handle.start({}), handle.pause()])
      await expect(call).rejects.toThrow(VMStateError);
    await handle.remove();
    expect(second.machine.status.phase).toBe("running");
    expect(await findMachine(folder.state, "box")).toMatchObject({
      record: { spec: { id: second.machine.spec.id } },
    });
  });

  it("is not taken for the one that has its name by now, even where nobody was looking", async () => {
    const { record, paths } = await folder.put("box", { persistent: true, wasBooted: true });
    const handle = new RemoteMachine(record, paths);
    const second = await hold("box");
    const stopped = vi.fn();
    for (const operation of ["stop", "remove", "start"] as const) perform(operation, stopped);
    await handle.stop({}).catch(() => {});
    await handle.start({}).catch(() => {});
    await handle.remove();
    expect(stopped).not.toHaveBeenCalled();
    expect(second.machine.status.phase).toBe("running");
    expect(await findMachine(folder.state, "box")).toMatchObject({
      record: { spec: { id: second.machine.spec.id } },
    });
  });

  it("with a damaged record can be looked at and deleted, nothing else", async () => {
    const { paths } = await folder.put("box", { persistent: true, wasBooted: true });
    await writeFile(paths.record, "{");
    const handle = await getMachine("box");
    expect(await handle.describe()).toMatchObject({ status: "error", statusReason: "its record is no JSON" });
    for (const call of [handle.start({}), handle.stop({}), handle.pause(), handle.snapshot(undefined, {})])
      await expect(call).rejects.toMatchObject({ code: "RECORD_DAMAGED" });
    await handle.remove();
    expect(await readdir(folder.state.machines)).toEqual([]);
  });

  it("with a record of a later version is left alone", async () => {
    const { record, paths } = await folder.put("box", { persistent: true, wasBooted: true });
    const handle = new RemoteMachine(record, paths);
    await writeFile(paths.record, encodeMachineRecord({ ...record, formatVersion: 3 } as never));
    await expect(getMachine("box")).rejects.toMatchObject({ code: "NEWER_FORMAT" });
    await expect(handle.remove()).rejects.toMatchObject({ code: "NEWER_FORMAT" });
    expect(await readdir(folder.state.machines)).toEqual(["box"]);
  });
});

describe("starting a machine whose supervisor is about to end", () => {
  it("is done by the next one, as if it had not been asked", async () => {
    const calls: string[] = [];
    const put = await pretend("box", (socket) => {
      send(socket, { kind: "record", protocol: PROTOCOL, record: put.record });
      onRequest(socket, (request) => {
        if (request.kind !== "call") return;
        calls.push(request.operation);
        if (calls.length === 1) socket.destroy();
        else send(socket, { kind: "result", id: request.id });
      });
    });
    const handle = new RemoteMachine(put.record, put.paths);
    await handle.start({});
    expect(calls).toEqual(["start", "start"]);
    await handle.close();
  });

  it("starts in the time that is left when it is asked", async () => {
    let asked: unknown;
    const put = await pretend("box", (socket) => {
      setTimeout(() => send(socket, { kind: "record", protocol: PROTOCOL, record: put.record }), 200);
      onRequest(socket, (request) => {
        if (request.kind !== "call") return;
        asked = request.args;
        send(socket, { kind: "result", id: request.id });
      });
    });
    const handle = new RemoteMachine(put.record, put.paths);
    await handle.start({ timeout: 60 });
    expect(asked).toEqual({ timeoutMs: 60_000, spentMs: expect.any(Number) });
    expect(Object(asked).spentMs).toBeGreaterThanOrEqual(198);
    await handle.close();
  });
});

describe("the first start of a persistent machine", () => {
  it("that fails leaves the machine as it was made: created, and without a folder", {
    timeout: 60_000,
  }, async () => {
    const { handle } = handleFor({ name: "box", persistent: true, image: "no-such-image" });
    const changes: string[] = [];
    handle.status.onChange(({ status }) => changes.push(status));
    for (let round = 0; round < 3; round++) {
      await expect(handle.start({})).rejects.toMatchObject({ code: "IMAGE" });
      await sleep(100);
      expect(handle.status.phase).toBe("created");
      expect(await readdir(folder.state.machines)).toEqual([]);
    }
    expect(changes).not.toContain("stopped");
  });

  it("is refused where the name is taken, and the first one is untouched", async () => {
    await folder.put("box", { persistent: true, wasBooted: true });
    const { handle } = handleFor({ name: "box", persistent: true });
    await expect(handle.start({})).rejects.toMatchObject({ code: "VM_ALREADY_EXISTS" });
    expect(await findMachine(folder.state, "box")).toMatchObject({ record: { wasBooted: true } });
  });
});
