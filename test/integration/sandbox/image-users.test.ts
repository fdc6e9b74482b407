import { existsSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostError, ImageError } from "../../../src/errors.ts";
import type { Image } from "../../../src/image/images.ts";
import { createOverlay } from "../../../src/qemu/disk.ts";
import { deleteImage } from "../../../src/sandbox/upkeep/images.ts";
import { SmolVM } from "../../../src/sandbox/vm.ts";
import { RECORD_FORMAT } from "../../../src/state/machine-record.ts";
import {
  diskBase,
  diskLayer,
  machinePaths,
  recordFile,
  type StatePaths,
  savedMachinePaths,
  snapshotFolder,
} from "../../../src/state/paths.ts";
import { listStoredTemplates } from "../../../src/state/templates.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

/** Longer than any name: ENAMETOOLONG. */
const UNREADABLE = "x".repeat(300);

let home: StateFolder;
let state: StatePaths;
let image: Image;
beforeEach(async () => {
  home = await useStateFolder();
  state = home.state;
  image = await storeImage(state, "debian", "1");
});
afterEach(() => home[Symbol.asyncDispose]());

/** The disk of a folder that has no link to its image's. */
async function putDisk(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await createOverlay({
    ...{ base: image.rootfs ?? "", baseFormat: "raw" },
    ...{ path: diskLayer(folder, 0), sizeMib: 16 },
  });
}

async function putNewer(): Promise<string> {
  const { folder } = machinePaths(state, "newer");
  await putDisk(folder);
  await writeFile(recordFile(folder), JSON.stringify({ formatVersion: RECORD_FORMAT + 1 }));
  return folder;
}

describe("an image", () => {
  it("stays where a machine of a later version lies on it, which is left as it is", async () => {
    const folder = await putNewer();
    const error = await deleteImage("debian").catch((failure) => failure);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toContain('machine "newer"');
    expect(existsSync(image.rootfs ?? "")).toBe(true);
    expect(existsSync(diskBase(folder))).toBe(false);
    await writeFile(diskBase(folder), ""); // it has its own link by now
    await deleteImage("debian");
  });

  it("stays where the disk of such a machine can't be read", async () => {
    const folder = await putNewer();
    await rm(diskLayer(folder, 0));
    await symlink(UNREADABLE, diskLayer(folder, 0));
    await expect(deleteImage("debian")).rejects.toBeInstanceOf(HostError);
    expect(existsSync(image.rootfs ?? "")).toBe(true);
  });

  it("stays where a snapshot lies on it whose record this version can't read", async () => {
    const folder = snapshotFolder(state, "later");
    await putDisk(folder);
    await writeFile(savedMachinePaths(folder, "snapshot").record, JSON.stringify({ formatVersion: 2 }));
    await expect(deleteImage("debian")).rejects.toThrow('snapshot "later"');
    expect(existsSync(image.rootfs ?? "")).toBe(true);
    await rm(folder, { recursive: true });
    await deleteImage("debian");
  });
});

describe("snapshots that the host can't read", () => {
  const loop = (path: string) => symlink(path, path);
  const record = async (name: string) => {
    const { folder, record: path } = savedMachinePaths(snapshotFolder(state, name), "snapshot");
    await mkdir(folder, { recursive: true });
    return path;
  };

  it.each([
    ["the folder of all", () => loop(state.snapshots)],
    ["the record of one", async () => symlink(UNREADABLE, await record("one"))],
  ])("(%s) are no proof that there are none", async (_, trouble) => {
    await trouble();
    await expect(SmolVM.listSnapshots()).rejects.toBeInstanceOf(HostError);
    await expect(deleteImage("debian")).rejects.toBeInstanceOf(HostError);
    expect(existsSync(image.rootfs ?? "")).toBe(true);
  });

  it("are none where there is no folder, and a damaged one harms no other", async () => {
    expect(await SmolVM.listSnapshots()).toEqual([]);
    await writeFile(await record("damaged"), "{");
    await record("missing");
    await writeFile(snapshotFolder(state, "stray"), "");
    expect(await SmolVM.listSnapshots()).toEqual([]);
    await deleteImage("debian");
  });
});

it("the folder of all templates, where the host can't read it, is not empty", async () => {
  await symlink(state.templates, state.templates);
  await expect(listStoredTemplates(state)).rejects.toMatchObject({ code: "ELOOP" });
});
