import { existsSync } from "node:fs";
import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { judgeHolder } from "../../../src/host/holder.ts";
import { tryLock } from "../../../src/host/lock.ts";
import { isAlive } from "../../../src/host/process-identity.ts";
import { listInfos } from "../../../src/sandbox/find.ts";
import { doctor } from "../../../src/sandbox/upkeep/doctor.ts";
import { findLeftovers } from "../../../src/sandbox/upkeep/leftovers.ts";
import { prune } from "../../../src/sandbox/upkeep/prune.ts";
import { makeDraftFolder } from "../../../src/state/draft-folder.ts";
import { eventually } from "../../support/eventually.ts";
import { type HeldMachine, holdMachine } from "../../support/held-machine.ts";
import { runContained } from "../../support/other-container.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let held: HeldMachine[] = [];
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(async () => {
  for (const { server } of held) server.close();
  held = [];
  await folder[Symbol.asyncDispose]();
});

const running = {
  status: { phase: "running", reason: "", since: "2026-01-02T03:04:05.678Z" },
  wasBooted: true,
} as const;
const names = async () => (await readdir(folder.state.machines)).sort();

async function hold(name: string): Promise<HeldMachine> {
  const machine = await holdMachine(folder, name, { persistent: false });
  held.push(machine);
  return machine;
}

/** What a program says in JSON that does this in another container. */
async function inContainer(code: string): Promise<unknown> {
  await using other = runContained(code, { SMOLVM_HOME: folder.state.home });
  return JSON.parse(await other.line());
}

const PRUNE = 'const { prune } = await import(dist("index.js")); console.log(JSON.stringify(await prune()));';
const LIST =
  'const { SmolVM } = await import(dist("index.js")); console.log(JSON.stringify(await SmolVM.list()));';

describe("prune in another container, on the same state folder", () => {
  it("leaves the machines of programs that live here, and the list there shows them as they are", async () => {
    await hold("victim");
    expect(await inContainer(PRUNE)).toEqual({ items: [], freedBytes: 0 });
    expect(await inContainer(LIST)).toMatchObject([
      { name: "victim", status: "running", statusReason: null },
    ]);
    expect(await names()).toEqual(["victim"]);
  });

  it("leaves what it can't judge, and says so", async () => {
    await folder.put("starting", { owner: folder.me, ...running });
    const draft = await makeDraftFolder(folder.state.machines);
    const report = await inContainer(PRUNE);
    expect(report).toMatchObject({ freedBytes: 0 });
    const { items } = report as Awaited<ReturnType<typeof prune>>;
    expect(items.map(({ name }) => name).sort()).toEqual([basename(draft), "starting"]);
    for (const item of items)
      expect(item).toMatchObject({
        ...{ removed: false, left: true, error: null },
        reason: expect.stringMatching(/^left alone: .* because .*another PID namespace/),
      });
    expect(await inContainer(LIST)).toMatchObject([
      { name: "starting", status: "running", statusReason: expect.stringContaining("can't be told") },
    ]);
    expect(existsSync(draft)).toBe(true);
  });

  it("removes what a program here has left that is proved to be dead", async () => {
    // Its socket is left as SIGKILL leaves it.
    const code = `
      const { listenAt, identifySocket } = await import(dist("host/local-socket.js"));
      const { findSelf } = await import(dist("host/process-identity.js"));
      const path = process.env.CONTROL;
      await listenAt(path, () => {});
      console.log(JSON.stringify({ ...(await findSelf()), socket: await identifySocket(path) }));
      setInterval(() => {}, 1000);`;
    const { paths } = await folder.put("orphan");
    const other = runContained(code, { CONTROL: paths.control });
    const owner = JSON.parse(await other.line());
    await folder.put("orphan", { owner, ...running });
    expect((await prune()).items).toEqual([]);
    await other.kill();
    await eventually(async () => (await judgeHolder(owner, paths.control)).life === "dead", "it is dead");
    expect((await prune()).items).toMatchObject([{ kind: "machine", name: "orphan", removed: true }]);
    expect(await names()).toEqual([]);
  });
});

describe("what another host, or an earlier start of an unknown one, has left", () => {
  it("is left, shown by prune and doctor, and named with what to do", async () => {
    const owner = { ...folder.me, bootId: "another", host: "another" };
    await folder.put("theirs", { owner, ...running });
    const { items } = await prune();
    expect(items).toMatchObject([{ name: "theirs", removed: false, left: true }]);
    const check = (await doctor()).checks.find(({ name }) => name === "leftovers");
    expect(check).toMatchObject({ ok: false, detail: expect.stringContaining("machine theirs") });
    expect((await listInfos())[0]).toMatchObject({ name: "theirs", status: "running" });
    expect(await names()).toEqual(["theirs"]);
  });
});

describe("processes that name a folder of this state folder", () => {
  it("are not ended where that path leads them to another folder, as in a container", async () => {
    await mkdir(folder.state.machines, { recursive: true });
    const left = await folder.spawnOwned("gone");
    // The same path from here on is not what it was for that process's root: here a mount in its own namespace.
    const code = `
      import { execFileSync, spawn } from "node:child_process";
      execFileSync("mount", ["-t", "tmpfs", "none", process.env.SMOLVM_HOME + "/vms"]);
      const child = spawn("sleep", ["300"], { env: { ...process.env, SMOLVM_MACHINE_FOLDER: process.env.SMOLVM_HOME + "/vms/gone" }, stdio: "ignore" });
      console.log(JSON.stringify(child.pid));
      child.on("exit", () => console.log('"ended"'));
      setTimeout(() => console.log('"lives"'), 3000);`;
    await using other = runContained(code, { SMOLVM_HOME: folder.state.home });
    await other.line();
    expect((await prune()).items).toMatchObject([{ kind: "process", name: `${left.pid}`, removed: true }]);
    expect(await isAlive(left)).toBe(false);
    expect(await other.line()).toBe('"lives"');
  });
});

describe("prune does not claim to have removed", () => {
  it("a machine whose name another one has by then", async () => {
    const owner = { ...folder.me, startedAt: "long ago" };
    const { paths } = await folder.put("again", { owner, ...running });
    const [leftover] = await findLeftovers(folder.state);
    await rename(paths.folder, join(folder.state.home, "aside"));
    await folder.put("again", { owner: folder.me, ...running });
    await leftover?.remove?.(); // that one is gone; another one has the name
    expect(await names()).toEqual(["again"]);
  });

  it("a machine that somebody holds as it is about to be removed, and says that it is there", async () => {
    const owner = { ...folder.me, startedAt: "long ago" };
    const { paths } = await folder.put("taken", { owner, ...running });
    const release = await tryLock(paths.lock);
    const report = await prune();
    expect(report).toMatchObject({
      freedBytes: 0,
      items: [
        {
          ...{ kind: "machine", name: "taken", removed: false, left: false },
          error: expect.stringContaining("it is still there"),
        },
      ],
    });
    expect(await names()).toEqual(["taken"]);
    await release?.();
    expect((await prune()).items).toMatchObject([{ name: "taken", removed: true, error: null }]);
    expect(await names()).toEqual([]);
  });

  it("a lock that somebody has taken since it was looked at", async () => {
    await mkdir(folder.state.machines, { recursive: true });
    const lock = join(folder.state.machines, ".lock-gone");
    await writeFile(lock, JSON.stringify({ ...folder.me, startedAt: "long ago" }));
    const [leftover] = await findLeftovers(folder.state);
    const release = await tryLock(lock);
    await expect(leftover?.remove?.()).rejects.toThrow("it is still there");
    expect(existsSync(lock)).toBe(true);
    await release?.();
  });
});
