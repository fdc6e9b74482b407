import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ImageError, SnapshotNotFoundError } from "../../../src/errors.ts";
import { acquireLock, tryLock } from "../../../src/host/lock.ts";
import { writeWhole } from "../../../src/host/whole-file.ts";
import { discardFolder } from "../../../src/host/whole-folder.ts";
import { deleteImage } from "../../../src/image/images.ts";
import { prune } from "../../../src/index.ts";
import { discardDraftFolder, makeDraftFolder } from "../../../src/state/draft-folder.ts";
import { claimMachineFolder, findMachine, removeMachineFolder } from "../../../src/state/machine-folder.ts";
import { snapshotFolder } from "../../../src/state/paths.ts";
import { removeSnapshot } from "../../../src/state/snapshots.ts";
import { discardTemplate } from "../../../src/state/templates.ts";
import { eventually } from "../../support/eventually.ts";
import { recordOf } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

const disk = vi.hoisted(() => ({ isBusy: false, isFull: false }));
vi.mock("node:fs/promises", async (original) => {
  const all = await original<typeof import("node:fs/promises")>();
  const remove: typeof all.rm = async (...args) => {
    if (disk.isBusy) throw Object.assign(new Error("EBUSY: resource busy, rm"), { code: "EBUSY" });
    return all.rm(...args);
  };
  const rename: typeof all.rename = async (...args) => {
    if (disk.isFull) throw Object.assign(new Error("EDQUOT: quota exceeded, rename"), { code: "EDQUOT" });
    return all.rename(...args);
  };
  return { ...all, rm: remove, rename, default: { ...all, rm: remove, rename } };
});

let home: StateFolder;
beforeEach(async () => {
  home = await useStateFolder();
});
afterEach(async () => {
  disk.isBusy = disk.isFull = false;
  await home[Symbol.asyncDispose]();
});

describe("a folder that is removed", () => {
  it("is gone where what was in it can't be removed yet; one that is not there is told", async () => {
    const parent = await mkdtemp(join(tmpdir(), "smolvm-discarded-"));
    const folder = join(parent, "a");
    await mkdir(folder);
    disk.isBusy = true;
    expect(await discardFolder(folder)).toBe(true);
    expect(readdirSync(parent)).toEqual([expect.stringMatching(/^\.discarded-./)]);
    expect(await discardFolder(folder)).toBe(false);
    disk.isBusy = false;
    await rm(parent, { recursive: true });
  });

  it("is removed as soon as it can be where it is a draft that this process gave up", async () => {
    const parent = await mkdtemp(join(tmpdir(), "smolvm-discarded-"));
    const folder = await makeDraftFolder(parent);
    disk.isFull = true;
    await discardDraftFolder(folder);
    expect(existsSync(folder)).toBe(true);
    disk.isFull = false;
    await eventually(() => readdirSync(parent).length === 0, "it is removed");
    await rm(parent, { recursive: true });
  });

  it("keeps nobody from the first error of a file whose draft can't be removed", async () => {
    const parent = await mkdtemp(join(tmpdir(), "smolvm-discarded-"));
    disk.isBusy = true;
    await mkdir(join(parent, "taken"));
    await expect(writeWhole(join(parent, "taken"), "x", { durable: false })).rejects.toThrow(
      "taken is a folder, and no file",
    );
    disk.isBusy = false;
    await rm(parent, { recursive: true });
  });

  it("is told as removed where it was a machine's, and its name is free; prune removes the rest", async () => {
    const { state } = home;
    const record = recordOf("box", { persistent: true, wasBooted: true });
    const paths = await claimMachineFolder(state, record);
    disk.isBusy = true;
    await removeMachineFolder(paths);
    expect(await findMachine(state, "box")).toBeUndefined();
    const { items } = await prune();
    expect(items).toMatchObject([{ kind: "folder", removed: false, error: "EBUSY: resource busy, rm" }]);
    disk.isBusy = false;
    await claimMachineFolder(state, record);
    expect((await prune()).items).toMatchObject([{ kind: "folder", removed: true }]);
    expect(readdirSync(state.machines)).toEqual(["box"]);
  });

  it("is told as removed where it was a snapshot's, a template's or an image's", async () => {
    const { state } = home;
    const snapshot = snapshotFolder(state, "one");
    const template = join(state.templates, "0".repeat(64));
    for (const folder of [snapshot, template]) await mkdir(folder, { recursive: true });
    await storeImage(state, "tiny", "1");
    await expect(removeSnapshot(state, "oen")).rejects.toMatchObject({
      remediation: 'Did you mean "one"? List those that there are: smolvm snapshot ls',
    });
    disk.isBusy = true;
    await removeSnapshot(state, "one");
    await discardTemplate(state, "0".repeat(64));
    await deleteImage(state, "tiny");
    expect([snapshot, template].map(existsSync)).toEqual([false, false]);
    await expect(removeSnapshot(state, "one")).rejects.toBeInstanceOf(SnapshotNotFoundError);
    await expect(deleteImage(state, "tiny")).rejects.toBeInstanceOf(ImageError);
    disk.isBusy = false;
    const kinds = (await prune()).items.map(({ kind, removed }) => [kind, removed]);
    expect(kinds.sort()).toEqual([
      ["image draft", true],
      ["snapshot draft", true],
      ["template draft", true],
    ]);
  });
});

describe("a lock whose files can't be removed", () => {
  it("is held by who took it, and by nobody once it is let go of", async () => {
    const path = join(home.state.images, "lock");
    await mkdir(home.state.images, { recursive: true });
    disk.isBusy = true;
    const release = await acquireLock(path, { operation: "x" });
    expect(await tryLock(path)).toBeUndefined();
    await release();
    disk.isBusy = false;
    const next = await tryLock(path);
    expect(next).toBeDefined();
    await next?.();
  });
});

describe("an image that many remove at once", () => {
  it("is removed by one of them; the others are told that it is not there", async () => {
    const { state } = home;
    await storeImage(state, "tiny", "1");
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => deleteImage(state, "tiny")));
    expect(all.filter(({ status }) => status === "fulfilled").length).toBe(1);
    for (const each of all) if (each.status === "rejected") expect(each.reason).toBeInstanceOf(ImageError);
  });

  it("is not told as removed because of what prune takes for left meanwhile", async () => {
    const { state } = home;
    for (let round = 1; round <= 9; round++) {
      const { kernel } = await storeImage(state, "tiny", `${round}`);
      const folder = join(kernel, "..");
      const [wasRemoved] = await Promise.all([discardFolder(folder), prune(), prune()]);
      expect([wasRemoved, existsSync(folder)]).toEqual([true, false]);
    }
  });
});
