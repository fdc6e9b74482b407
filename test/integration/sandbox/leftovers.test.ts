import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { tryLock } from "../../../src/host/lock.ts";
import { isAlive } from "../../../src/host/process-identity.ts";
import { type ListFilter, listInfos } from "../../../src/sandbox/find.ts";
import { prune } from "../../../src/sandbox/upkeep/prune.ts";
import { makeDraftFolder } from "../../../src/state/draft-folder.ts";
import { encodeMachineRecord } from "../../../src/state/machine-record.ts";
import { leaveDraft } from "../../support/drafts.ts";
import { ended } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const running = (reason = "") =>
  ({ status: { phase: "running", reason, since: "2026-01-02T03:04:05.678Z" }, wasBooted: true }) as const;
const dead = () => ended(folder.me);

/** One of each kind of machine that is not to be touched. */
async function putNeeded(): Promise<string[]> {
  const [{ paths: damaged }, { paths: newer, record }] = [
    await folder.put("damaged"),
    await folder.put("newer", { owner: dead() }),
  ];
  await writeFile(damaged.record, "{");
  await writeFile(newer.record, encodeMachineRecord({ ...record, formatVersion: 3 } as never));
  await folder.put("mine", { owner: folder.me, ...running() });
  await folder.put("first-start", { persistent: true, owner: folder.me });
  await folder.put("at-rest", { persistent: true, wasBooted: true });
  await folder.put("crashed", { persistent: true, owner: dead(), ...running() });
  await mkdir(join(folder.state.machines, "no-record"));
  return ["at-rest", "crashed", "damaged", "first-start", "mine", "newer", "no-record"];
}

let draftOfTheDead = "";

/** What nobody needs. */
async function putLeft(): Promise<void> {
  await folder.put("orphan", { owner: dead(), ...running() });
  await folder.put("never-up", { persistent: true, owner: dead() });
  await mkdir(join(folder.state.machines, ".discarded-abc"));
  draftOfTheDead = basename(await leaveDraft(folder.state.machines));
  for (const name of [".lock-gone", ".lock-gone.abc"]) {
    const lock = join(folder.state.machines, name);
    await writeFile(lock, JSON.stringify(dead()));
    await utimes(lock, 1, 1);
  }
}

const left = () => [".discarded-abc", draftOfTheDead, ".lock-gone", "never-up", "orphan"];
const names = () => readdir(folder.state.machines).then((all) => all.sort());

describe("prune", () => {
  it("removes what nobody needs, and nothing that lives, is persistent or can't be understood", async () => {
    const needed = [...(await putNeeded()), basename(await makeDraftFolder(folder.state.machines))];
    await putLeft();
    const report = await prune();
    expect(report.items.map(({ name }) => name).sort()).toEqual(left());
    for (const item of report.items)
      expect(item).toMatchObject({ removed: true, reason: expect.stringMatching(/\w/) });
    expect(report.freedBytes).toBeGreaterThan(0);
    expect(await names()).toEqual(needed.sort());
    expect((await prune()).items).toEqual([]);
  });

  it("with dryRun says the same, and removes nothing", async () => {
    await putNeeded();
    await putLeft();
    const before = await names();
    const { items, freedBytes } = await prune({ dryRun: true });
    expect(items.map(({ name }) => name).sort()).toEqual(left());
    expect(items.every(({ removed }) => !removed)).toBe(true);
    expect(freedBytes).toBe(0);
    expect(await names()).toEqual(before);
  });

  it("ends the processes of machines that nobody holds, and of those that are gone", async () => {
    await folder.put("orphan", { owner: dead(), ...running() });
    await folder.put("crashed", { persistent: true, owner: dead(), ...running() });
    const left = await Promise.all(["orphan", "crashed", "gone"].map((name) => folder.spawnOwned(name)));
    const { items } = await prune();
    expect(items.map(({ kind }) => kind).sort()).toEqual(["machine", "process", "process"]);
    for (const process of left) expect(await isAlive(process)).toBe(false);
    expect(await names()).toEqual(["crashed"]);
  });

  it("leaves processes of machines that somebody holds, even where their record could not be written", async () => {
    await folder.put("mine", { owner: folder.me, ...running() });
    const { paths } = await folder.put("unwritten", { persistent: true, wasBooted: true });
    const { paths: damaged } = await folder.put("damaged", { persistent: true, wasBooted: true });
    await writeFile(damaged.record, "");
    const release = await tryLock(paths.lock);
    const kept = await Promise.all(["mine", "unwritten", "damaged"].map((name) => folder.spawnOwned(name)));
    expect((await prune()).items).toEqual([]);
    for (const process of kept) expect(await isAlive(process)).toBe(true);
    await release?.();
    expect((await prune({ dryRun: true })).items).toMatchObject([{ kind: "process", path: paths.folder }]);
  });

  it("of a state folder that there is not yet finds nothing", async () => {
    expect(await prune()).toEqual({ items: [], freedBytes: 0 });
  });

  it.each([{ dryrun: true }, { dryRun: "yes" }, { signal: 1 }])("refuses %j", async (options) => {
    await expect(prune(options as never)).rejects.toThrow(ValidationError);
  });
});

describe("the list of machines", () => {
  it("has all but those that prune would remove; a record that can't be read hides no other", async () => {
    const needed = await putNeeded();
    await putLeft();
    const infos = await listInfos();
    expect(infos.map(({ name }) => name)).toEqual(needed);
    const byName = Object.fromEntries(infos.map((info) => [info.name, info]));
    expect(byName.damaged).toMatchObject({ status: "error", statusReason: "its record is no JSON", id: "" });
    expect(byName["no-record"]).toMatchObject({ status: "error", statusReason: "its record is missing" });
    expect(byName.newer?.statusReason).toContain("its record has format 3");
    expect(byName.crashed).toMatchObject({ status: "error", persistent: true });
  });

  it("names a record that came from another machine's folder", async () => {
    const { record } = await folder.put("one", { persistent: true, wasBooted: true });
    const { paths } = await folder.put("two", { persistent: true, wasBooted: true });
    await writeFile(paths.record, encodeMachineRecord(record));
    expect((await listInfos()).map(({ statusReason }) => statusReason)).toEqual([
      null,
      'its record is that of machine "one"',
    ]);
  });

  it.each<[ListFilter, string[]]>([
    [{}, ["a", "b", "c"]],
    [{ status: "stopped" }, ["a", "b"]],
    [{ status: ["stopped", "error"] }, ["a", "b", "c"]],
    [{ status: [] }, []],
    [{ labels: { team: "x" } }, ["a", "c"]],
    [{ labels: { team: "x", tier: "1" } }, ["a"]],
    [{ labels: { constructor: "x" } }, []],
    [{ labels: { team: "x" }, status: "error" }, ["c"]],
  ])("with %j has those that fit all of it", async (filter, expected) => {
    const labelled = async (name: string, phase: "stopped" | "error", labels: Record<string, string>) => {
      const known = { persistent: true, wasBooted: true, status: { ...running().status, phase } };
      const { paths, record } = await folder.put(name, known);
      await writeFile(paths.record, encodeMachineRecord({ ...record, spec: { ...record.spec, labels } }));
    };
    await labelled("a", "stopped", { team: "x", tier: "1" });
    await labelled("b", "stopped", { team: "y" });
    await labelled("c", "error", { team: "x" });
    expect((await listInfos(filter)).map(({ name }) => name)).toEqual(expected);
  });

  it.each<[unknown, string]>([
    [{ label: {} }, 'did you mean "labels"?'],
    [{ labels: [] }, "labels must be an object whose values are strings; given an array of 0"],
    [{ labels: { a: 1 } }, "labels must be an object whose values are strings"],
    [{ labels: "a=b" }, "labels must be an object whose values are strings"],
    [{ labels: null }, "labels must be an object whose values are strings"],
    [
      { status: "up" },
      'status must be one of created, starting, running, paused, stopping, stopped, error; given "up"',
    ],
    [{ status: ["running", 1] }, "status must be one of"],
    [{ status: "deleted" }, "status must be one of"],
    ["running", "list() takes one object of options"],
  ])("refuses the filter %j", async (filter, message) => {
    await expect(listInfos(filter as ListFilter)).rejects.toThrow(ValidationError);
    await expect(listInfos(filter as ListFilter)).rejects.toThrow(message);
  });
});
