import { existsSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  mkdtemp,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  HostError,
  OperationAbortedError,
  SmolVMError,
  SnapshotAlreadyExistsError,
  SnapshotNotFoundError,
} from "../../../src/errors.ts";
import { prepareRestore } from "../../../src/sandbox/snapshot/snapshots.ts";
import { findBase, listLayers, shareDisk } from "../../../src/state/disk-layers.ts";
import { diskBase, diskLayer, type StatePaths, stampsFile, statePaths } from "../../../src/state/paths.ts";
import type { SavedFacts } from "../../../src/state/snapshot-record.ts";
import {
  collectDrafts,
  getSnapshot,
  listStoredSnapshots,
  openSavedState,
  openSnapshotDraft,
  publishSnapshot,
  removeSnapshot,
  requireFreeName,
  requireSavedMemory,
  requireSavedState,
  type SavedMachine,
} from "../../../src/state/snapshots.ts";
import { flip } from "../../support/damage.ts";
import { breakSyncsOf } from "../../support/disk-trouble.ts";
import { leaveDraft } from "../../support/drafts.ts";
import { NO_FILES, promptly } from "../../support/no-files.ts";

const MIB = 1024 * 1024;
const FACTS: SavedFacts = {
  ...{ createdAt: "2026-11-24T04:00:00.000Z", pauseMs: 1, sourceName: "otter", image: null, own: null },
  ...{ memoryMib: 64, cpus: 1, diskMib: 64, network: "open", template: "auto", sshUser: "root" },
  ...{ sshKeyPath: null, labels: {}, accelerator: "tcg", qemuVersion: "7.2.22", guestFormat: 2, model: "m" },
  ...{ hostKey: null, clientKey: "ssh-ed25519 AAAA", shell: null, base: null },
};

let state: StatePaths;
beforeEach(async () => {
  state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-snapshots-")) });
});
afterEach(() => rm(state.home, { recursive: true, force: true }));

async function makeDraft(createdAt = FACTS.createdAt): Promise<SavedMachine> {
  const paths = await openSnapshotDraft(state);
  await writeFile(paths.memory, Buffer.alloc(2 * MIB, 7));
  await writeFile(paths.state, "the state");
  await writeFile(diskLayer(paths.folder, 0), "lowest");
  await writeFile(diskLayer(paths.folder, 1), Buffer.alloc(17 * MIB, 1));
  return { paths, facts: { ...FACTS, createdAt }, record: null };
}

describe("a snapshot whose name the host's disk does not take", () => {
  it("is not there, and its draft can be published later", async () => {
    const draft = await makeDraft();
    await breakSyncsOf(state.snapshots);
    await expect(publishSnapshot(state, draft, "one")).rejects.toThrow("EIO");
    vi.restoreAllMocks();
    await expect(getSnapshot(state, "one")).rejects.toBeInstanceOf(SnapshotNotFoundError);
    expect(await publishSnapshot(state, draft, "one")).toEqual(await getSnapshot(state, "one"));
  });
});

describe("a snapshot that was published", () => {
  it("is found as it was, listed from the newest, and removed", async () => {
    const made = await publishSnapshot(state, await makeDraft(), "one");
    await publishSnapshot(state, await makeDraft("2026-11-25T04:00:00.000Z"), "two");
    expect(await getSnapshot(state, "one")).toEqual(made);
    expect((await listStoredSnapshots(state)).map(({ name }) => name)).toEqual(["two", "one"]);
    expect(readdirSync(made.paths.folder).sort()).toEqual(
      ["disk-1.qcow2", "disk.qcow2", "memory", "snapshot.json", "state"].sort(),
    );
    await removeSnapshot(state, "one");
    await expect(getSnapshot(state, "one")).rejects.toBeInstanceOf(SnapshotNotFoundError);
    await expect(removeSnapshot(state, "one")).rejects.toBeInstanceOf(SnapshotNotFoundError);
    expect(readdirSync(state.snapshots)).toEqual(["two"]);
  });

  it("keeps its name from others, of whom none hurts it", async () => {
    const drafts = await Promise.all([makeDraft(), makeDraft(), makeDraft()]);
    const outcomes = await Promise.allSettled(drafts.map((draft) => publishSnapshot(state, draft, "one")));
    const refused = outcomes.filter((each) => each.status === "rejected");
    expect(refused).toHaveLength(2);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(SnapshotAlreadyExistsError);
    await expect(requireFreeName(state, "one")).rejects.toBeInstanceOf(SnapshotAlreadyExistsError);
    await getSnapshot(state, "one");
  });

  it.each<[string, (saved: SavedMachine["paths"]) => unknown, RegExp]>([
    ["memory cut", ({ memory }) => truncateSync(memory, MIB), /its memory has \d+ bytes instead of/],
    ["memory gone", ({ memory }) => rm(memory), /its memory is missing/],
    [
      "small layer written to",
      ({ disk }) => writeFile(disk, "LOWEST"),
      /the content of its disk.qcow2 has changed/,
    ],
    ["large layer longer", ({ folder }) => appendFile(diskLayer(folder, 1), "x"), /disk-1.qcow2 has/],
    ["layer gone", ({ folder }) => rm(diskLayer(folder, 1)), /its disk has 1 layers instead of 2/],
    ["record cut", ({ record }) => truncateSync(record, 20), /its record is no JSON/],
    ["record gone", ({ record }) => rm(record), /its record is missing/],
    [
      "record of another",
      async ({ record }) => writeFile(record, readFileSync(record, "utf8").replace('"one"', '"two"')),
      /its record is another one's/,
    ],
  ])("with its %s is damaged, and says what and what to do", async (_, damage, reason) => {
    const { paths } = await publishSnapshot(state, await makeDraft(), "one");
    await damage(paths);
    const error = await getSnapshot(state, "one").catch((failure) => failure);
    expect(error).toBeInstanceOf(SmolVMError);
    expect(error).toMatchObject({ code: "SNAPSHOT_DAMAGED", message: expect.stringMatching(reason) });
    expect(error.remediation).toBe("Remove it: smolvm snapshot rm one");
  });

  it.each(NO_FILES)("with %s in the place of its state is damaged", async (_, put, said) => {
    const made = await publishSnapshot(state, await makeDraft(), "one");
    put(made.paths.state);
    const damage = { code: "SNAPSHOT_DAMAGED", message: expect.stringMatching(said) };
    await expect(promptly(openSavedState(made))).rejects.toMatchObject(damage);
  });

  it("with a small layer changed and its times set back is damaged too", async () => {
    const { paths } = await publishSnapshot(state, await makeDraft(), "one");
    const { atimeNs, mtimeNs } = await stat(paths.disk, { bigint: true });
    await writeFile(paths.disk, "LOWEST");
    await utimes(paths.disk, Number(atimeNs) / 1e9, Number(mtimeNs) / 1e9);
    await expect(getSnapshot(state, "one")).rejects.toThrow(
      /its disk.qcow2 (was|has) changed|content of its disk/,
    );
  });

  it.each<[string, (folder: string) => unknown]>([
    ["its times were set again", (folder) => touchAll(folder)],
    ["its modes were set again", (folder) => Promise.all(filesIn(folder).map((path) => chmod(path, 0o600)))],
    [
      "it was put back from a backup",
      async (folder) => {
        await cp(folder, `${folder}.backup`, { recursive: true });
        await rm(folder, { recursive: true });
        await rename(`${folder}.backup`, folder);
      },
    ],
  ])("is as sound as before where %s, and is read for that once", async (_, change) => {
    const { paths } = await publishSnapshot(state, await makeDraft(), "one");
    const record = readFileSync(paths.record, "utf8");
    await change(paths.folder);
    await getSnapshot(state, "one");
    expect(readFileSync(paths.record, "utf8")).toBe(record);
    const stamps = JSON.parse(readFileSync(stampsFile(paths.folder), "utf8"));
    expect(Object.keys(stamps)).toContain("memory");
    // Not read again: a change that the quick look can't see goes unseen. Nobody but a test can make one.
    await writeFile(
      stampsFile(paths.folder),
      JSON.stringify({ ...stamps, memory: { ...stamps.memory, ...(await changeOf(paths.memory)) } }),
    );
    await getSnapshot(state, "one");
    await appendFile(paths.memory, "x");
    await expect(getSnapshot(state, "one")).rejects.toMatchObject({ code: "SNAPSHOT_DAMAGED" });
  });

  it("is damaged where what was noted of it is of another content", async () => {
    const { paths } = await publishSnapshot(state, await makeDraft(), "one");
    await touchAll(paths.folder);
    await getSnapshot(state, "one");
    const noted = readFileSync(stampsFile(paths.folder), "utf8");
    await writeFile(paths.memory, Buffer.alloc(2 * MIB, 8));
    await writeFile(stampsFile(paths.folder), noted);
    await expect(getSnapshot(state, "one")).rejects.toThrow(/its memory was changed or replaced/);
  });

  it.each(["record", "memory"] as const)(
    "is not damaged where the host can't read its %s at the moment",
    async (file) => {
      const { paths } = await publishSnapshot(state, await makeDraft(), "one");
      await rename(paths[file], `${paths[file]}.away`);
      await symlink("x".repeat(300), paths[file]); // ENAMETOOLONG
      const error = await getSnapshot(state, "one").catch((failure) => failure);
      expect(error).toBeInstanceOf(HostError);
      expect(error.message).toMatch(/^The snapshot "one" can't be read: ENAMETOOLONG/);
      await rename(`${paths[file]}.away`, paths[file]);
      await getSnapshot(state, "one");
    },
  );

  it("is not damaged where the caller has no time to have it read", async () => {
    const { paths } = await publishSnapshot(state, await makeDraft(), "one");
    await touchAll(paths.folder);
    const reason = new Error("no time");
    await expect(getSnapshot(state, "one", AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it("is looked at once more when it is in use", async () => {
    const saved = await publishSnapshot(state, await makeDraft(), "one");
    requireSavedState(saved, Buffer.from("the state"));
    expect(() => requireSavedState(saved, Buffer.from("THE state"))).toThrow(
      /the content of its state has changed/,
    );
    await requireSavedMemory(saved);
    await appendFile(saved.paths.memory, "x");
    await expect(requireSavedMemory(saved)).rejects.toMatchObject({ code: "SNAPSHOT_DAMAGED" });
    await rm(saved.paths.state);
    await expect(openSavedState(saved)).rejects.toThrow(/"one" is damaged: .*state/);
  });

  it("is not damaged but gone where it was deleted while it was in use", async () => {
    const saved = await publishSnapshot(state, await makeDraft(), "one");
    await removeSnapshot(state, "one");
    await expect(requireSavedMemory(saved)).rejects.toBeInstanceOf(SnapshotNotFoundError);
    await expect(openSavedState(saved)).rejects.toBeInstanceOf(SnapshotNotFoundError);
  });
});

const filesIn = (folder: string) => readdirSync(folder).map((name) => join(folder, name));

async function touchAll(folder: string): Promise<void> {
  for (const path of filesIn(folder)) await utimes(path, new Date(), new Date());
}

/** Changes the content, and tells how the file looks then. */
async function changeOf(path: string) {
  await flip(path, 5);
  const { ino, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return { inode: `${ino}`, modifiedNs: `${mtimeNs}`, changedNs: `${ctimeNs}` };
}

describe("a draft", () => {
  it("that has gone with the program that asked for it is an error that says so", async () => {
    const saved = await makeDraft();
    await rm(saved.paths.folder, { recursive: true });
    await expect(openSavedState(saved)).rejects.toMatchObject({
      code: "SNAPSHOT_UNUSABLE",
      message: expect.stringContaining("is gone: its state is missing"),
    });
  });

  it("is removed when its maker is proved to have died, and only then", async () => {
    const { paths: mine } = await makeDraft();
    const empty = (await openSnapshotDraft(state)).folder; // as its maker leaves it who is killed at once
    const gone = await leaveDraft(state.snapshots);
    await writeFile(join(gone, "memory"), "");
    const nameless = join(state.snapshots, ".draft-new");
    await mkdir(nameless);
    await collectDrafts(state);
    expect([mine.folder, empty, gone, nameless].map(existsSync)).toEqual([true, true, false, true]);
    expect(await listStoredSnapshots(state)).toEqual([]);
  });
});

describe("a snapshot whose files were moved, so that they are read whole,", () => {
  it("is not read to the end where its restore is aborted", async () => {
    const { paths } = await publishSnapshot(state, await makeDraft(), "one");
    await utimes(paths.memory, 1, 1);
    const signal = AbortSignal.abort();
    await expect(prepareRestore("one", { signal }, state)).rejects.toBeInstanceOf(OperationAbortedError);
    await expect(prepareRestore("one", { signal: "now" as never }, state)).rejects.toThrow("signal");
    await prepareRestore("one", {}, state);
  });
});

describe("the files of a disk", () => {
  it("are the same ones under other names, for as many layers as are wanted", async () => {
    const [from, to] = [join(state.home, "from"), join(state.home, "to")];
    for (const folder of [from, to]) await mkdir(folder, { recursive: true });
    for (const index of [0, 1, 2]) await writeFile(diskLayer(from, index), `layer ${index}`);
    await writeFile(diskBase(from), "base");
    expect(await shareDisk(from, to, { count: 2 })).toEqual([diskLayer(to, 0), diskLayer(to, 1)]);
    expect(await listLayers(to)).toEqual([diskLayer(to, 0), diskLayer(to, 1)]);
    expect((await stat(diskLayer(to, 1))).ino).toBe((await stat(diskLayer(from, 1))).ino);
    await rm(from, { recursive: true });
    expect(readFileSync(diskLayer(to, 1), "utf8")).toBe("layer 1");
    expect(readFileSync((await findBase(to)) ?? "", "utf8")).toBe("base");
  });
});
