import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { renameFolder } from "../../../src/host/whole-folder.ts";
import type { ImageManifest } from "../../../src/image/manifest.ts";
import { ensureImagesFolder, openDraft, publishDraft, readImages } from "../../../src/image/store.ts";
import { createOverlay } from "../../../src/qemu/disk.ts";
import { claimMachineFolder } from "../../../src/state/machine-folder.ts";
import { type StatePaths, statePaths } from "../../../src/state/paths.ts";
import { breakSyncsOf } from "../../support/disk-trouble.ts";
import { recordOf } from "../../support/machine-records.ts";

let state: StatePaths;
beforeEach(async () => {
  state = statePaths({ SMOLVM_HOME: await mkdtemp(join(tmpdir(), "smolvm-published-")) });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(state.home, { recursive: true, force: true });
});

const MANIFEST: ImageManifest = {
  ...{ formatVersion: 1, name: "tiny", arch: "x86_64", digest: "1".repeat(64), recipe: "2".repeat(64) },
  ...{
    createdAt: "2026-01-01T00:00:00.000Z",
    kernelVersion: "6",
    mirror: "https://mirror.test",
    packages: [],
  },
  ...{ kernelBytes: 1, initramfsBytes: 1, rootfsBytes: null },
};

describe("a folder whose name the disk does not take", () => {
  it("has its old name again: what is told as failed is not there", async () => {
    const [from, to] = [join(state.home, "draft"), join(state.home, "done")];
    await mkdir(from);
    const asked = await breakSyncsOf(state.home);
    await expect(renameFolder(from, to, { durable: true })).rejects.toThrow("EIO");
    expect([asked(), readdirSync(state.home)]).toEqual([1, ["draft"]]);
    await renameFolder(from, to, { durable: false });
    expect([asked(), readdirSync(state.home)]).toEqual([1, ["done"]]);
  });

  it("is done where it can't be taken back", async () => {
    const [from, to] = [join(state.home, "draft"), join(state.home, "done")];
    await mkdir(from);
    const asked = await breakSyncsOf(state.home);
    const renamed = renameFolder(from, to, { durable: true });
    while (!existsSync(to)) await new Promise(setImmediate);
    mkdirSync(join(from, "another's"), { recursive: true }); // at once: it is about to be taken back
    await renamed;
    expect([asked(), readdirSync(state.home)]).toEqual([1, ["done", "draft"]]);
  });

  it("is no machine, and its name is free", async () => {
    const record = recordOf("box", { persistent: true });
    await mkdir(state.machines, { recursive: true });
    const asked = await breakSyncsOf(state.machines);
    await expect(claimMachineFolder(state, record)).rejects.toMatchObject({ code: "STATE" });
    expect(asked()).toBe(1);
    expect(readdirSync(state.machines)).toEqual([]);
  });

  it("is no image", async () => {
    await ensureImagesFolder(state);
    const draft = await openDraft(state, "tiny-x86_64");
    await Promise.all([draft.kernel, draft.initramfs].map((path) => writeFile(path, "x")));
    const asked = await breakSyncsOf(state.images);
    await expect(publishDraft(state, draft, MANIFEST)).rejects.toThrow("EIO");
    expect(asked()).toBe(1);
    expect((await readImages(state)).images).toEqual([]);
    vi.restoreAllMocks();
    const image = await publishDraft(state, draft, MANIFEST);
    expect((await readImages(state)).images).toEqual([image]);
  });
});

describe("a disk whose name the host's disk does not take", () => {
  it("is removed", async () => {
    const path = join(state.home, "disk.qcow2");
    const asked = await breakSyncsOf(state.home);
    const made = createOverlay({ base: "/dev/null", baseFormat: "raw", path, sizeMib: 64, durable: true });
    await expect(made).rejects.toMatchObject({ code: "IMAGE" });
    expect([asked(), readdirSync(state.home)]).toEqual([1, []]);
  });
});
