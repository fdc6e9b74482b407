import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connectTo } from "../../../src/host/local-socket.ts";
import { HolderConnection } from "../../../src/sandbox/remote/connection.ts";
import { eventually } from "../../support/eventually.ts";
import { type HeldMachine, holdMachine, perform } from "../../support/held-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let held: HeldMachine;
let connection: HolderConnection;

beforeEach(async () => {
  folder = await useStateFolder();
  held = await holdMachine(folder, "box");
  connection = new HolderConnection(await connectTo(held.machine.folder?.control ?? ""), () => {});
});
afterEach(async () => {
  vi.restoreAllMocks();
  connection.close();
  held.server.close();
  await folder[Symbol.asyncDispose]();
});

describe("copies that a user has had made", () => {
  it("go with the user, those that come later too", async () => {
    const [early, late] = ["early", "late"].map((name) => join(folder.state.home, name)) as [string, string];
    const exists = (path: string) =>
      stat(path).then(
        () => true,
        () => false,
      );
    perform("copy", async (_machine, _args, { keepCopy }) => {
      await mkdir(early);
      keepCopy(early);
    });
    await connection.call("copy");
    expect(await exists(early)).toBe(true);
    perform("copy", async (_machine, _args, { signal, keepCopy }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await mkdir(late);
      keepCopy(late);
    });
    connection.call("copy").catch(() => {});
    await sleep(50);
    connection.close();
    await eventually(() => held.server.clientCount === 0, "the user has left");
    expect(await Promise.all([early, late].map(exists))).toEqual([false, false]);
  });
});
