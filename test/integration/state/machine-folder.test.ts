import { mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VMAlreadyExistsError } from "../../../src/errors.ts";
import { tryLock } from "../../../src/host/lock.ts";
import { findProcess, type ProcessIdentity } from "../../../src/host/process-identity.ts";
import { makeDraftFolder } from "../../../src/state/draft-folder.ts";
import { listLeftLocks } from "../../../src/state/left-locks.ts";
import {
  claimMachineFolder,
  findMachine,
  isAbandoned,
  listLeftFolders,
  listMachines,
  removeMachineFolder,
  writeMachineRecord,
} from "../../../src/state/machine-folder.ts";
import { machinePaths, type StatePaths, statePaths } from "../../../src/state/paths.ts";
import { leaveDraft } from "../../support/drafts.ts";
import { ended, recordOf } from "../../support/machine-records.ts";

let state: StatePaths;
let me: ProcessIdentity;
const dead = () => ended(me);

beforeEach(async () => {
  state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-test-")) });
  const found = await findProcess(process.pid);
  if (!found) throw new Error("this process is not in the process table");
  me = found;
});
afterEach(() => rm(state.home, { recursive: true, force: true }));

const claim = (name: string, known: Parameters<typeof recordOf>[1] = { owner: me }) =>
  claimMachineFolder(state, recordOf(name, known));

describe("a machine's folder", () => {
  it("holds a name against everybody else while its creator lives", async () => {
    await claim("box");
    const second = claim("box");
    await expect(second).rejects.toThrow(VMAlreadyExistsError);
    await expect(second).rejects.toMatchObject({
      message: 'A machine named "box" exists already.',
      remediation: expect.stringContaining("smolvm rm -f box"),
    });
    expect(await readdir(state.machines)).toEqual(["box"]);
  });

  it("goes to exactly one of twenty that want the name at once", async () => {
    const claims = Array.from({ length: 20 }, () => claim("box"));
    const settled = await Promise.allSettled(claims);
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await readdir(state.machines)).toEqual(["box"]);
  });

  it("is taken over from a creator that died", async () => {
    const paths = await claim("box", { owner: dead() });
    await writeFile(paths.disk, "old");
    await claim("box");
    expect(await readdir(paths.folder)).toEqual(["machine.json"]);
  });

  it.each([
    ["persistent and was up", { persistent: true, wasBooted: true, owner: null }],
    ["persistent and was up, and whose supervisor died", { persistent: true, wasBooted: true }],
  ])("is never taken over from one that is %s", async (_, known) => {
    await claim("box", { owner: dead(), ...known });
    await expect(claim("box")).rejects.toThrow(VMAlreadyExistsError);
  });

  it("is taken over from a persistent one whose maker died before it was ever up", async () => {
    await claim("box", { persistent: true, owner: dead() });
    await claim("box");
  });

  it("is taken over where a supervisor that such a maker had started has it for a moment yet", async () => {
    const status = { phase: "created", reason: "", since: new Date().toISOString() } as const;
    const paths = await claim("box", { persistent: true, owner: dead(), status });
    const release = await tryLock(paths.lock);
    const second = claim("box");
    setTimeout(() => void release?.(), 300);
    await second;
  });

  it("is not waited for where a supervisor holds one that is up", async () => {
    const status = { phase: "running", reason: "", since: new Date().toISOString() } as const;
    const paths = await claim("box", { persistent: true, owner: dead(), status });
    const release = await tryLock(paths.lock);
    setTimeout(() => void release?.(), 1_000).unref();
    await expect(claim("box")).rejects.toThrow(VMAlreadyExistsError);
    await release?.();
  });

  it("frees the name when it is removed, and may be removed twice", async () => {
    const paths = await claim("box");
    await removeMachineFolder(paths);
    await removeMachineFolder(paths);
    await claim("box");
  });

  it("that is taken while it is still being removed stays with who has taken it", async () => {
    const paths = await claim("box");
    for (let index = 0; index < 300; index++) await writeFile(join(paths.folder, `${index}`), "x");
    const removing = removeMachineFolder(paths);
    const taken = join(state.machines, "next");
    await mkdir(taken);
    await writeFile(join(taken, "disk.qcow2"), "mine");
    const take = () =>
      rename(taken, paths.folder).then(
        () => true,
        () => false,
      );
    while (!(await take()));
    await removing;
    expect(await readFile(paths.disk, "utf8")).toBe("mine");
  });

  it("is left where its owner died, and only then", async () => {
    await claim("alive");
    await claim("gone", { owner: dead() });
    await mkdir(join(state.machines, "foreign"));
    await writeFile(join(state.machines, "foreign", "machine.json"), '{"formatVersion":99}');
    const machines = await listMachines(state);
    const left = await Promise.all(machines.map(isAbandoned));
    expect(machines.filter((_, index) => left[index]).map(({ name }) => name)).toEqual(["gone"]);
  });

  it("that was not finished, or not removed to the end, is found when nobody is at it", async () => {
    await mkdir(state.machines, { recursive: true });
    const left = await leaveDraft(state.machines);
    await makeDraftFolder(state.machines);
    await mkdir(join(state.machines, ".discarded-x"));
    const found = (await listLeftFolders(state)).map(({ path }) => basename(path));
    expect(found.sort()).toEqual([".discarded-x", basename(left)]);
  });

  it("whose remover was killed has left locks, which are told from those that are held or tried", async () => {
    await mkdir(state.machines, { recursive: true });
    const held = await tryLock(machinePaths(state, "held").takeover);
    const lock = JSON.stringify(dead());
    for (const name of [".lock-one", ".lock-one.abc", ".lock-two.abc", ".lock-held.abc", ".lock-new.abc"])
      await writeFile(join(state.machines, name), lock);
    for (const name of [".lock-one", ".lock-one.abc", ".lock-two.abc", ".lock-held", ".lock-held.abc"])
      await utimes(join(state.machines, name), 1, 1);
    const left = (await listLeftLocks(state)).map(({ path }) => path.slice(state.machines.length + 1));
    expect(left.sort()).toEqual([".lock-one", ".lock-two"]);
    await held?.();
  });
});

describe("a machine's record", () => {
  it("is read back as it was written", async () => {
    const record = recordOf("box", { owner: me, persistent: true });
    const paths = await claimMachineFolder(state, record);
    const found = await findMachine(state, "box");
    expect(found).toEqual({ name: "box", paths, record });
    const later = { ...record, wasBooted: true };
    await writeMachineRecord(paths, later);
    expect((await findMachine(state, "box"))?.record).toEqual(later);
    expect(await readdir(paths.folder)).toEqual(["machine.json"]);
  });

  it.each([
    ["is missing", null, "its record is missing", false],
    ["is empty", "", "its record is no JSON", false],
    ["is cut", '{"formatVersion":1,"spec":', "its record is no JSON", false],
    ["has an unknown key", { more: 1 }, "its record is bad: more", false],
    ["has a bad value", { machineId: "x" }, "its record is bad: machineId", false],
    ["is of a later version", { formatVersion: 3 }, "its record has format 3", true],
  ])("that %s hides no other, and is left as it is", async (_, change, problem, isNewer) => {
    await claim("good");
    const paths = await claim("bad");
    const text = typeof change === "string" ? change : JSON.stringify({ ...recordOf("bad"), ...change });
    await writeFile(paths.disk, "kept"); // an empty folder has nothing to lose
    if (change === null) await rm(paths.record);
    else await writeFile(paths.record, text);
    const machines = await listMachines(state);
    expect(machines.map(({ name }) => name).sort()).toEqual(["bad", "good"]);
    const bad = machines.find(({ name }) => name === "bad")?.record;
    expect(bad).toEqual({ problem: expect.stringContaining(problem), isNewer });
    await expect(claim("bad")).rejects.toThrow(VMAlreadyExistsError);
    if (change !== null) expect(await readFile(paths.record, "utf8")).toBe(text);
  });
});
