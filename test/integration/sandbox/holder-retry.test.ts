import type { Server, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationTimeoutError } from "../../../src/errors.ts";
import { connectTo, listenAt } from "../../../src/host/local-socket.ts";
import { HolderGoneError } from "../../../src/sandbox/remote/connection.ts";
import { RemoteMachine } from "../../../src/sandbox/remote/machine.ts";
import { type Operation, onRequest, PROTOCOL, send } from "../../../src/sandbox/remote/protocol.ts";
import { findMachine, isBad } from "../../../src/state/machine-folder.ts";
import { bounded } from "../../../src/util/bounded.ts";
import { eventually } from "../../support/eventually.ts";
import { holdMachine, perform } from "../../support/held-machine.ts";
import { ended } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let servers: Server[] = [];
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const server of servers) server.close();
  servers = [];
  await folder[Symbol.asyncDispose]();
});

/** A holder that hangs up on the first call, before or after it has taken it, and answers the later ones. */
async function hangUpOnce(isTaken: boolean, owner = folder.me) {
  const calls: string[] = [];
  const status = { phase: "running", reason: "", since: "2026-01-02T03:04:05.678Z" } as const;
  const put = await folder.put("box", { persistent: true, wasBooted: true, owner, status });
  const greet = (socket: Socket) => {
    send(socket, { kind: "record", protocol: PROTOCOL, record: put.record });
    onRequest(socket, (request) => {
      if (request.kind !== "call") return;
      const { id, operation } = request;
      calls.push(operation);
      if (calls.length > 1) return send(socket, { kind: "result", id, value: ANSWERS[operation] ?? null });
      if (isTaken) send(socket, { kind: "taken", id });
      socket.destroySoon();
    });
  };
  servers.push(await listenAt(put.paths.control, greet));
  const machine = new RemoteMachine(put.record, put.paths);
  await machine.look();
  return { machine, calls };
}

const ANSWERS: Partial<Record<Operation, unknown>> = { describe: { name: "box" }, snapshot: { name: "s" } };

type Ask = (machine: RemoteMachine) => Promise<unknown>;
const ASKED: readonly [Operation, Ask][] = [
  ["start", (machine) => machine.start({})],
  ["stop", (machine) => machine.stop({})],
  ["pause", (machine) => machine.pause()],
  ["resume", (machine) => machine.resume()],
  ["snapshot", (machine) => machine.snapshot("s", {})],
  // What is answered here is no copy, which is seen when it has come.
  ["copy", (machine) => expect(machine.copy("fork", { timeoutMs: 10_000 })).rejects.toThrow(/Invalid/)],
  ["describe", (machine) => machine.describe()],
];

describe("a call that no holder has taken", () => {
  it.each(ASKED)("is made again by a new connection: %s", async (operation, ask) => {
    const { machine, calls } = await hangUpOnce(false);
    await ask(machine);
    expect(calls).toEqual([operation, operation]);
    await machine.close();
  });

  it("is made again by a new connection: remove", async () => {
    const { machine, calls } = await hangUpOnce(false, ended(folder.me)); // whose end is waited for
    await machine.remove();
    expect(calls).toEqual(["remove", "remove"]);
    expect(machine.status.phase).toBe("deleted");
  });

  it("is made once where it was taken: what has become of it is not known", async () => {
    const { machine, calls } = await hangUpOnce(true);
    await expect(machine.pause()).rejects.toSatisfy(
      (error) => error instanceof HolderGoneError && error.wasTaken,
    );
    expect(calls).toEqual(["pause"]);
    await machine.close();
  });
});

describe("a user whose program is busy for seconds", () => {
  it("is still connected when another has come and gone meanwhile, and its call is carried out", async () => {
    const stop = vi.fn(async () => {});
    perform("stop", stop);
    const held = await holdMachine(folder, "box");
    servers.push({ close: () => held.server.close() } as Server);
    const found = await findMachine(folder.state, "box");
    if (!found || isBad(found.record)) throw new Error("it has no record");
    const { record, paths } = found;
    const [busy, other] = [new RemoteMachine(record, paths), new RemoteMachine(record, paths)];
    await busy.look();
    // One that never says that it has heard, as a program whose event loop is blocked.
    const deaf = await connectTo(paths.control);
    await other.look();
    await sleep(1_200);
    await other.close();
    await busy.stop({});
    expect(stop).toHaveBeenCalledOnce();
    expect(deaf.destroyed).toBe(false);
    deaf.destroy();
    await busy.close();
    await eventually(() => held.server.clientCount === 0, "all have gone");
  });
});

describe("a deadline", () => {
  it("that ran out while this program was busy is not one where the answer had come by then", async () => {
    const answer = new Promise<string>((resolve) => {
      setTimeout(() => setImmediate(() => resolve("in time")), 5);
    });
    const waiting = bounded(answer, { operation: "Asking", timeoutMs: 20 });
    for (const end = performance.now() + 60; performance.now() < end; );
    expect(await waiting).toBe("in time");
    await expect(
      bounded(new Promise(() => {}), { operation: "Asking", timeoutMs: 20 }),
    ).rejects.toBeInstanceOf(OperationTimeoutError);
  });
});
