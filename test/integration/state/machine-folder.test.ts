import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VMAlreadyExistsError } from "../../../src/errors.ts";
import { findProcess, type ProcessIdentity } from "../../../src/host/process-identity.ts";
import {
  claimMachineFolder,
  collectAbandoned,
  removeMachineFolder,
} from "../../../src/state/machine-folder.ts";
import { type StatePaths, statePaths } from "../../../src/state/paths.ts";

let state: StatePaths;
let me: ProcessIdentity;
const dead = (): ProcessIdentity => ({ ...me, startedAt: "long ago" });

beforeEach(async () => {
  state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-test-")) });
  const found = await findProcess(process.pid);
  if (!found) throw new Error("this process is not in the process table");
  me = found;
});
afterEach(() => rm(state.home, { recursive: true, force: true }));

describe("a machine's folder", () => {
  it("holds a name against everybody else while its creator lives", async () => {
    await claimMachineFolder(state, { id: "vm-1", name: "box", creator: me });
    const second = claimMachineFolder(state, { id: "vm-2", name: "box", creator: me });
    await expect(second).rejects.toThrow(VMAlreadyExistsError);
    await expect(second).rejects.toThrow('A machine named "box" exists already.');
    expect(await readdir(state.machines)).toEqual(["box"]);
  });

  it("goes to exactly one of twenty that want the name at once", async () => {
    const claims = Array.from({ length: 20 }, (_, i) =>
      claimMachineFolder(state, { id: `vm-${i}`, name: "box", creator: me }),
    );
    const settled = await Promise.allSettled(claims);
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await readdir(state.machines)).toEqual(["box"]);
  });

  it("is taken over from a creator that died", async () => {
    const paths = await claimMachineFolder(state, { id: "vm-1", name: "box", creator: dead() });
    await writeFile(paths.disk, "old");
    await claimMachineFolder(state, { id: "vm-2", name: "box", creator: me });
    expect(await readdir(paths.folder)).toEqual(["machine.json"]);
  });

  it("frees the name when it is removed, and may be removed twice", async () => {
    const paths = await claimMachineFolder(state, { id: "vm-1", name: "box", creator: me });
    await removeMachineFolder(paths);
    await removeMachineFolder(paths);
    await claimMachineFolder(state, { id: "vm-2", name: "box", creator: me });
  });

  it("is collected when its creator died, and only then", async () => {
    await claimMachineFolder(state, { id: "vm-1", name: "alive", creator: me });
    await claimMachineFolder(state, { id: "vm-2", name: "gone", creator: dead() });
    await mkdir(join(state.machines, "foreign"));
    await writeFile(join(state.machines, "foreign", "machine.json"), '{"formatVersion":99}');
    await mkdir(join(state.machines, ".draft-new"));
    await mkdir(join(state.machines, ".draft-old"));
    await utimes(join(state.machines, ".draft-old"), 1, 1);
    expect((await collectAbandoned(state)).sort()).toEqual([".draft-old", "gone"]);
    expect((await readdir(state.machines)).sort()).toEqual([".draft-new", "alive", "foreign"]);
  });
});
