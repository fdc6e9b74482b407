import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectTo, listenAt } from "../../../src/host/local-socket.ts";
import { tryLock } from "../../../src/host/lock.ts";
import { prune } from "../../../src/sandbox/upkeep/prune.ts";
import { machinePaths } from "../../../src/state/paths.ts";
import { leaveSocket } from "../../support/dead-socket.ts";
import { holdMachine } from "../../support/held-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const socketsOf = (name: string) =>
  readdirSync(machinePaths(folder.state, name).folder).filter((file) => file.startsWith("control.sock"));

/** A machine at rest whose supervisor was killed before its socket had its name. */
async function putMachine() {
  const { paths } = await folder.put("box", { persistent: true, wasBooted: true });
  const draft = `${paths.control}.a1b2c3`;
  await leaveSocket(draft);
  return { paths, draft };
}

describe("what a supervisor left that was killed as it began to listen", () => {
  it("goes when the next one listens", async () => {
    await putMachine();
    const { server } = await holdMachine(folder, "box");
    expect(socketsOf("box")).toEqual(["control.sock"]);
    server.close();
  });

  it("goes by prune, which names it, and nothing else of the machine does", async () => {
    const { paths, draft } = await putMachine();
    await leaveSocket(paths.control);
    writeFileSync(`${paths.control}.note`, "");
    const before = readdirSync(paths.folder).filter((name) => join(paths.folder, name) !== draft);
    expect((await prune({ dryRun: true })).items).toMatchObject([
      { kind: "socket", path: draft, removed: false },
    ]);
    expect((await prune()).items).toMatchObject([{ kind: "socket", path: draft, removed: true }]);
    expect(readdirSync(paths.folder).sort()).toEqual(before.sort());
  });

  it("is no leftover while somebody holds the machine, or listens there", async () => {
    const { paths } = await putMachine();
    const release = await tryLock(paths.lock);
    expect((await prune()).items).toEqual([]);
    expect(socketsOf("box")).toEqual(["control.sock.a1b2c3"]);
    await release?.();
    const server = await listenAt(`${paths.control}.ffffff`, () => {});
    await prune();
    expect(socketsOf("box")).toEqual(["control.sock.ffffff"]);
    (await connectTo(`${paths.control}.ffffff`)).destroy();
    server.close();
  });
});
