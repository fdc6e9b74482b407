import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connectTo } from "../../../src/host/local-socket.ts";
import { HolderConnection } from "../../../src/sandbox/remote/connection.ts";
import { ALIVE_MS } from "../../../src/sandbox/remote/protocol.ts";
import { holdMachine, perform } from "../../support/held-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let mute: ChildProcess | null = null;
let socket: Socket | null = null;

beforeEach(async () => {
  folder = await useStateFolder();
  // Only what counts the signs of life goes by this clock: sockets and the test's own waits don't.
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  socket?.destroy();
  mute?.kill("SIGKILL");
  await folder[Symbol.asyncDispose]();
});

/** Another process that takes calls and never says a word, as one does that a signal has stopped. */
async function startMute(path: string): Promise<void> {
  const code = `require("node:net").createServer((s) => s.resume()).listen(${JSON.stringify(path)}, () => console.log("up"))`;
  mute = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(mute.stdout as NodeJS.ReadableStream, "data");
}

describe("a call", () => {
  it("ends where the holder lives and gives no sign of life", async () => {
    const path = join(folder.state.home, "mute.sock");
    await startMute(path);
    socket = await connectTo(path);
    const connection = new HolderConnection(socket, () => {});
    const call = connection.call("start", { timeoutMs: 1 });
    const refused = expect(call).rejects.toMatchObject({
      code: "UNRESPONSIVE",
      remediation: expect.stringContaining("signal"),
    });
    await vi.advanceTimersByTimeAsync(7 * ALIVE_MS);
    await refused;
    expect(connection.isOpen).toBe(false);
  });

  it("is waited for as long as the holder says that it is at it", async () => {
    const held = await holdMachine(folder, "box");
    let finish = (_value: unknown) => {};
    perform("start", () => new Promise((resolve) => (finish = resolve)));
    socket = await connectTo(held.machine.folder?.control ?? "");
    const connection = new HolderConnection(socket, () => {});
    const call = connection.call("start", { timeoutMs: 1 });
    for (let tick = 0; tick < 20; tick++) {
      await vi.advanceTimersByTimeAsync(ALIVE_MS);
      await sleep(10); // the sign of life is on its way
    }
    finish("done");
    expect(await call).toBe("done");
    held.server.close();
  });
});
