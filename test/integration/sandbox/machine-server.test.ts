import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BootError, OperationTimeoutError, VMStateError } from "../../../src/errors.ts";
import { connectTo, listenAt } from "../../../src/host/local-socket.ts";
import { HolderConnection, HolderGoneError, type News } from "../../../src/sandbox/remote/connection.ts";
import { onReply, PROTOCOL, type Reply, send } from "../../../src/sandbox/remote/protocol.ts";
import { eventually } from "../../support/eventually.ts";
import { type HeldMachine, holdMachine, perform } from "../../support/held-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let held: HeldMachine;
let sockets: Socket[] = [];

beforeEach(async () => {
  folder = await useStateFolder();
  held = await holdMachine(folder, "box");
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const socket of sockets) socket.destroy();
  sockets = [];
  held.server.close();
  await folder[Symbol.asyncDispose]();
});

async function dial(): Promise<Socket> {
  const socket = await connectTo(held.machine.folder?.control ?? "");
  sockets.push(socket);
  return socket;
}

/** Both ends of a connection that nobody serves. */
async function pair(): Promise<[Socket, Socket]> {
  const path = join(folder.state.home, "pair.sock");
  let far: Socket | undefined;
  const server = await listenAt(path, (socket) => {
    far = socket;
  });
  const near = await connectTo(path);
  sockets.push(near.resume());
  await eventually(() => far, "it is connected");
  server.close();
  return [near, far as Socket];
}

/** A user that hears what it is told, and answers. */
async function use(): Promise<{ connection: HolderConnection; news: News[]; greeted: () => boolean }> {
  const news: News[] = [];
  const connection = new HolderConnection(await dial(), (each) => news.push(each));
  return { connection, news, greeted: () => news.some(({ kind }) => kind === "record") };
}

async function greetedUser() {
  const user = await use();
  await eventually(user.greeted, "it has its first record");
  return user;
}

const kinds = (news: readonly { kind: string }[]) => news.map(({ kind }) => kind);
const phaseIn = (news: News | undefined) =>
  news?.kind === "record" ? Object(news.record).status.phase : undefined;

describe("a user of a machine that another process holds", () => {
  it("hears whether there are others, then how the machine stands, then each change", async () => {
    const { news } = await greetedUser();
    expect(news).toMatchObject([
      { kind: "shared", others: false },
      { kind: "record", protocol: PROTOCOL },
    ]);
    held.machine.status.change("paused", "pause");
    await eventually(() => phaseIn(news.at(-1)) === "paused", "it hears of the pause");
  });

  it("that has hung up before it was let in is none", async () => {
    const gone = await dial();
    gone.destroy();
    await eventually(() => gone.closed, "it is closed");
    await eventually(() => held.server.clientCount === 0, "its other end is gone as well");
    await held.server.admit(gone);
    await eventually(() => held.server.clientCount === 0, "nobody is waited for");
  });

  it("hears of a newcomer before that one gets its first record", async () => {
    const heard: Reply[] = [];
    const silent = await dial();
    onReply(silent, (reply) => heard.push(reply));
    await eventually(() => heard.length === 1, "the first message");
    send(silent, { kind: "heard", id: (heard[0] as { id: number }).id });
    await eventually(() => heard.length === 2, "the first record");

    const newcomer = await use();
    await eventually(() => heard.length === 3, "the user is told of the newcomer");
    expect(heard[2]).toMatchObject({ kind: "shared", others: true });
    held.machine.status.change("paused", "pause"); // a record that all are told of, but not who is not let in yet
    await eventually(() => heard.length === 4, "the user is told of the pause");
    await sleep(50);
    expect(newcomer.news).toEqual([]);
    send(silent, { kind: "heard", id: (heard[2] as { id: number }).id });
    await eventually(newcomer.greeted, "the newcomer is let in");
    expect(kinds(newcomer.news)).toEqual(["shared", "record"]);
    expect(phaseIn(newcomer.news[1])).toBe("paused");
  });

  it("that does not answer is not waited for longer than a second, once, and not hung up on", async () => {
    const silent = await dial();
    const heard: Reply[] = [];
    onReply(silent, (reply) => heard.push(reply));
    await eventually(() => heard.length === 2, "it is let in all the same");
    const since = performance.now();
    await greetedUser();
    expect(performance.now() - since).toBeLessThan(900);
    expect(kinds(heard)).toEqual(["shared", "record", "shared"]);
    expect(silent.destroyed).toBe(false);
  });

  it("that has gone is not waited for", async () => {
    perform("pause", async (_machine, _args, { signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await sleep(1_500); // its work is not over at once
    });
    const first = await greetedUser();
    first.connection.call("pause").catch(() => {});
    await sleep(50);
    first.connection.close();
    await sleep(50);
    const since = performance.now();
    await greetedUser();
    expect(performance.now() - since).toBeLessThan(900);
  });

  it("hears when it is alone again, and the machine's own shells are used again", async () => {
    expect(held.shares()).toBe(0);
    const first = await greetedUser();
    expect(held.shares()).toBe(1);
    const second = await greetedUser();
    second.connection.close();
    const last = () => first.news.at(-1);
    await eventually(
      () => last()?.kind === "shared" && !(last() as { others: boolean }).others,
      "alone again",
    );
    first.connection.close();
    await eventually(() => held.shares() === 0, "nobody is there");
  });

  it("of an ephemeral machine is never alone: its maker runs commands too", async () => {
    const other = await holdMachine(folder, "ephemeral", { persistent: false });
    const news: News[] = [];
    const socket = await connectTo(other.machine.folder?.control ?? "");
    sockets.push(socket);
    new HolderConnection(socket, (each) => news.push(each));
    await eventually(() => news.length === 2, "it is greeted");
    expect(news[0]).toMatchObject({ kind: "shared", others: true });
    other.server.close();
  });

  it("gets a record of now, not of when it knocked", async () => {
    for (let round = 0; round < 20; round++) {
      const user = await use();
      held.machine.status.change(round % 2 === 0 ? "paused" : "running", "test");
      await eventually(user.greeted, "it is greeted");
      await held.machine.records.settled();
      await eventually(
        () => phaseIn(user.news.at(-1)) === held.machine.status.phase,
        `round ${round}: it is told`,
      );
      user.connection.close();
    }
  });
});

describe("a call to the holder", () => {
  it("gives what the operation gives, and sees first what has changed", async () => {
    perform("stop", async (machine, args) => {
      machine.status.change("stopping", "stop");
      machine.status.change("stopped", "stop");
      return { args };
    });
    const { connection, news } = await greetedUser();
    expect(await connection.call("stop", { timeoutMs: 5 })).toEqual({ args: { timeoutMs: 5 } });
    expect(phaseIn(news.at(-1))).toBe("stopped");
  });

  it.each([
    new VMStateError("It is stopped.", { remediation: "Start it.", details: { status: "stopped" } }),
    new OperationTimeoutError("Starting", 3),
    new BootError("It did not come up.", { commandLine: "qemu", qemuOutput: "", consoleTail: "panic" }),
  ])("throws what the operation throws, of the same class: %s", async (error) => {
    perform("start", () => Promise.reject(error));
    const { connection } = await greetedUser();
    const thrown = await connection.call("start").catch((each) => each as Error);
    expect(thrown).toBeInstanceOf(error.constructor);
    expect({ ...Object(thrown) }).toEqual({ ...error });
  });

  it("with arguments that can't be understood is refused, and the conversation goes on", async () => {
    const { connection } = await greetedUser();
    await expect(connection.call("stop", { timeoutMs: "soon" })).rejects.toMatchObject({ code: "INTERNAL" });
    expect(await connection.call("describe")).toMatchObject({ name: "box", status: "running" });
  });

  it("tells of progress as it comes, to the one who asked", async () => {
    perform("start", async (_machine, _args, { onProgress }) => {
      for (const phase of ["image", "boot"]) onProgress({ phase });
    });
    const { connection } = await greetedUser();
    const [seen, others]: [unknown[], unknown[]] = [[], []];
    await Promise.all([
      connection.call("start", {}, { onProgress: (each) => seen.push(each) }),
      connection.call("describe", {}, { onProgress: (each) => others.push(each) }),
    ]);
    expect(seen).toEqual([{ phase: "image" }, { phase: "boot" }]);
    expect(others).toEqual([]);
  });

  it.each([
    ["is aborted during it", (abort: AbortController) => setTimeout(() => abort.abort(), 50)],
    ["was aborted before it", (abort: AbortController) => abort.abort()],
  ])("that %s ends the work there", async (_, end) => {
    const aborted = vi.fn();
    perform("snapshot", async (_machine, _args, { signal }) => {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      aborted();
      throw new VMStateError("it was given up");
    });
    const { connection } = await greetedUser();
    const abort = new AbortController();
    end(abort);
    await expect(connection.call("snapshot", {}, { signal: abort.signal })).rejects.toThrow(
      "it was given up",
    );
    expect(aborted).toHaveBeenCalledOnce();
  });

  it("ends with its caller", async () => {
    const aborted = vi.fn();
    perform("copy", async (_machine, _args, { signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      aborted();
    });
    const { connection } = await greetedUser();
    const calling = connection.call("copy");
    calling.catch(() => {});
    await sleep(50);
    connection.close();
    await eventually(() => aborted.mock.calls.length === 1, "the work was ended");
    await expect(calling).rejects.toThrow(HolderGoneError);
  });

  it("whose holder ends during it is a HolderGoneError, as is each later one", async () => {
    perform("pause", () => new Promise(() => {}));
    const { connection } = await greetedUser();
    const calls = Promise.allSettled([connection.call("pause"), connection.call("pause")]);
    await sleep(50);
    held.server.close();
    for (const call of await calls) expect(call).toMatchObject({ reason: expect.any(HolderGoneError) });
    await connection.closed;
    expect(connection.isOpen).toBe(false);
    await expect(connection.call("describe")).rejects.toThrow(HolderGoneError);
  });
});

describe("a holder that is about to end", () => {
  it("begins nothing any more, and lets nobody in", async () => {
    const started = vi.fn(async () => {});
    perform("start", started);
    const socket = await dial();
    const heard: Reply[] = [];
    onReply(socket, (reply) => {
      heard.push(reply);
      if (reply.kind === "shared") send(socket, { kind: "heard", id: reply.id });
    });
    await eventually(() => heard.some(({ kind }) => kind === "record"), "it is greeted");
    held.server.close();
    send(socket, { kind: "call", id: 1, operation: "start", args: {} });
    await eventually(() => socket.destroyed, "it was hung up on");
    const [late, other] = await pair();
    await held.server.admit(other);
    await eventually(() => late.destroyed, "the one who came late too");
    expect(started).not.toHaveBeenCalled();
  });
});
