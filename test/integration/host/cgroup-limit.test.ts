import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostError } from "../../../src/errors.ts";
import {
  type CgroupPlaces,
  type Limits,
  limitProcess,
  removeCgroup,
} from "../../../src/host/cgroup-limit.ts";

/** A folder of files that stands for the kernel's tree. */
let places: CgroupPlaces;
let parent = "";
const BOTH: Limits = { memoryMib: 512, cpus: 0.5 };

beforeEach(async () => {
  const home = await mkdtemp(join(tmpdir(), "smolvm-cgroup-"));
  places = { root: join(home, "cgroup"), self: join(home, "self") };
  parent = join(places.root, "user.slice", "app.scope");
  await mkdir(join(parent, "own"), { recursive: true });
  await writeFile(places.self, "0::/user.slice/app.scope/own\n");
  await writeFile(join(parent, "cgroup.procs"), "");
  await writeFile(join(parent, "cgroup.subtree_control"), "cpu io memory pids\n");
});
afterEach(async () => {
  await rm(join(places.root, ".."), { recursive: true });
});

const limit = (limits: Limits) => limitProcess(4711, "smolvm-vm-1", limits, places);
async function written(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const)),
  );
}

describe("limiting a process", () => {
  it("makes a cgroup beside one's own and moves the process there, its limits set before", async () => {
    const folder = await limit(BOTH);
    expect(folder).toBe(join(parent, "smolvm-vm-1"));
    expect(await written(folder)).toEqual({
      "memory.max": `${512 * 1024 * 1024}`,
      "memory.swap.max": "0",
      "cpu.max": "50000 100000",
      "cgroup.procs": "4711",
    });
  });

  it("sets only what is asked for, and needs only the controller for that", async () => {
    await writeFile(join(parent, "cgroup.subtree_control"), "cpu\n");
    expect(await written(await limit({ memoryMib: null, cpus: 3 }))).toEqual({
      ...{ "cpu.max": "300000 100000", "cgroup.procs": "4711" },
    });
    await writeFile(join(parent, "cgroup.subtree_control"), "memory");
    await rm(join(parent, "smolvm-vm-1"), { recursive: true });
    expect(Object.keys(await written(await limit({ memoryMib: 64, cpus: null }))).sort()).toEqual([
      ...["cgroup.procs", "memory.max", "memory.swap.max"],
    ]);
  });

  it("finds its place in the root of the tree, and beside cgroups of the first version", async () => {
    for (const name of ["cgroup.procs", "cgroup.subtree_control"])
      await writeFile(join(places.root, name), "cpu memory");
    for (const self of ["0::/\n", "12:cpu:/docker\n1:name=systemd:/\n0::/own\n"]) {
      await writeFile(places.self, self);
      const folder = await limit(BOTH);
      expect(folder).toBe(join(places.root, "smolvm-vm-1"));
      await rm(folder, { recursive: true });
    }
  });

  it.each<[string, () => Promise<unknown>, RegExp]>([
    ["no cgroup at all", () => rm(places.self), /this host has no cgroup v2/],
    [
      "only cgroups of the first version",
      () => writeFile(places.self, "4:memory:/docker\n"),
      /this host has no cgroup v2/,
    ],
    [
      "a tree that is mounted elsewhere",
      () => rm(places.root, { recursive: true }),
      /this user may not make cgroups in /,
    ],
    [
      "a parent whose processes can't be moved",
      () => rm(join(parent, "cgroup.procs")),
      /this user may not make cgroups in /,
    ],
    [
      "no controllers given on",
      () => writeFile(join(parent, "cgroup.subtree_control"), "\n"),
      /does not give on the controller memory and cpu/,
    ],
    [
      "one of two controllers given on",
      () => writeFile(join(parent, "cgroup.subtree_control"), "cpuset memory\n"),
      /does not give on the controller cpu\./,
    ],
    [
      "a limit that the kernel refuses",
      () => mkdir(join(parent, "smolvm-vm-1", "memory.max"), { recursive: true }),
      /smolvm-vm-1 can't be used: EISDIR/,
    ],
  ])("is refused where there is %s, and says how to get it", async (_, spoil, message) => {
    await spoil();
    const limiting = limit(BOTH);
    await expect(limiting).rejects.toThrow(HostError);
    await expect(limiting).rejects.toThrow(/^hostLimits can't be held on this host: /);
    await expect(limiting).rejects.toThrow(message);
    await expect(limiting).rejects.toMatchObject({
      remediation: expect.stringContaining("systemd-run --user"),
    });
  });
});

describe("removing a cgroup", () => {
  it("is done once it is empty, and twice is fine", async () => {
    await mkdir(join(parent, "old"));
    await removeCgroup(join(parent, "old"));
    await removeCgroup(join(parent, "old"));
    expect(await readdir(parent)).not.toContain("old");
  });

  it("leaves one that others have made use of", async () => {
    await mkdir(join(parent, "old", "others"), { recursive: true });
    await removeCgroup(join(parent, "old"));
    expect(await readdir(join(parent, "old"))).toEqual(["others"]);
  });
});
