import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectTo, listenAt } from "../../../src/host/local-socket.ts";
import {
  onReply,
  onRequest,
  PROTOCOL,
  type Reply,
  type Request,
  send,
} from "../../../src/sandbox/remote/protocol.ts";
import { eventually } from "../../support/eventually.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

let folder = "";
let server: Server;
let near: Socket;
let far: Socket;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-protocol-"));
  await open();
});
afterEach(async () => {
  close();
  await rm(folder, { recursive: true });
});

async function open(): Promise<void> {
  const come = new Promise<Socket>((resolve) => {
    void listenAt(join(folder, "s"), resolve).then((listening) => {
      server = listening;
    });
  });
  await eventually(() => server?.listening, "it listens");
  near = await connectTo(join(folder, "s"));
  near.on("error", () => {});
  far = await come;
}

function close(): void {
  near.destroy();
  far.destroy();
  server.close();
}

const REQUESTS: readonly Request[] = [
  { kind: "call", id: 1, operation: "start", args: { timeoutMs: 5, text: "line\nline ü" } },
  { kind: "call", id: 2, operation: "describe", args: {} },
  { kind: "cancel", id: 1 },
  { kind: "heard", id: 3 },
];
const REPLIES: readonly Reply[] = [
  { kind: "record", protocol: PROTOCOL, record: { any: "thing" } },
  { kind: "deleted", reason: "" },
  { kind: "shared", id: 1, others: true },
  { kind: "taken", id: 1 },
  { kind: "result", id: 1, value: [null] },
  { kind: "result", id: 2 },
  { kind: "error", id: 3, error: { name: "x" } },
  { kind: "progress", id: 4, progress: { phase: "image" } },
  { kind: "elsewhere" },
];

describe("what is said between a holder and its users", () => {
  it("arrives as it was sent, in order, in both directions", async () => {
    const requests: Request[] = [];
    const replies: Reply[] = [];
    onRequest(far, (request) => requests.push(request));
    onReply(near, (reply) => replies.push(reply));
    for (const request of REQUESTS) send(near, request);
    for (const reply of REPLIES) send(far, reply);
    await eventually(
      () => requests.length === REQUESTS.length && replies.length === REPLIES.length,
      "all came",
    );
    expect(requests).toEqual(REQUESTS);
    expect(replies).toEqual(REPLIES);
  });

  it("arrives the same however it is cut", async () => {
    const random = seededRandom(chooseSeed());
    const heard: Request[] = [];
    onRequest(far, (request) => heard.push(request));
    const bytes = Buffer.from(REQUESTS.map((request) => `${JSON.stringify(request)}\n`).join(""));
    for (const chunk of randomChunks(bytes, random)) await new Promise((done) => near.write(chunk, done));
    await eventually(() => heard.length === REQUESTS.length, "all came");
    expect(heard).toEqual(REQUESTS);
  });

  it.each([
    ["no JSON", "hello"],
    ["an empty line", ""],
    ["another kind", '{"kind":"exec","id":1}'],
    ["an operation that there is not", '{"kind":"call","id":1,"operation":"constructor","args":{}}'],
    ["a call without arguments", '{"kind":"call","id":1,"operation":"start"}'],
    ["an id that is none", '{"kind":"cancel","id":1.5}'],
    ["more than is known", '{"kind":"cancel","id":1,"more":1}'],
    ["a list", "[]"],
    ["what a holder says", '{"kind":"deleted","reason":""}'],
  ])("ends the conversation where it is %s, and nothing behind it is heard", async (_, line) => {
    const heard: Request[] = [];
    onRequest(far, (request) => heard.push(request));
    const valid = JSON.stringify(REQUESTS[3]);
    near.write(`${valid}\n${line}\n${valid}\n`);
    await once(near, "close");
    expect(heard).toEqual([REQUESTS[3]]);
  });

  it("ends where a line never ends, without filling the memory", async () => {
    onRequest(far, () => {});
    const piece = Buffer.alloc(1024 * 1024, "x");
    for (let sent = 0; sent < 8 && near.writable; sent++)
      await new Promise((done) => near.write(piece, () => done(null)));
    await eventually(() => far.destroyed, "it was hung up");
  });

  it("ends where the other side asks and asks and never reads the answers, without filling the memory", async () => {
    const asked: Reply = { kind: "result", id: 1, value: "x".repeat(1 << 20) };
    for (let round = 0; round < 32 && !near.destroyed; round++) send(near, asked);
    expect(near.destroyed).toBe(true);
  });

  it("is understood or the end of it, whatever bytes come", { timeout: 30_000 }, async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 60; round++) {
      const heard: Reply[] = [];
      onReply(near, (reply) => heard.push(reply));
      const sound = `${JSON.stringify(REPLIES[random(REPLIES.length)])}\n`;
      const at = random(sound.length - 1);
      const bytes = Buffer.from(sound);
      bytes[at] = random(256);
      far.end(Buffer.concat([bytes, Buffer.from("\n")]));
      await once(near, "close");
      for (const { kind } of heard)
        expect(
          REPLIES.map((each) => each.kind),
          `seed ${seed}`,
        ).toContain(kind);
      close();
      await open();
    }
  });
});
