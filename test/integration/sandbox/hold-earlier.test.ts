import { readdirSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Image } from "../../../src/image/images.ts";
import { createOverlay } from "../../../src/qemu/disk.ts";
import { bootFilesOf } from "../../../src/sandbox/boot/hold.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { deleteImage } from "../../../src/sandbox/upkeep/images.ts";
import { writeMachineRecord } from "../../../src/state/machine-folder.ts";
import { diskLayer, machinePaths, type StatePaths } from "../../../src/state/paths.ts";
import { contentsOf, folderOf, imageOf, machineOf, OF_ONE } from "../../support/held-machines.ts";
import { recordOf } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

let home: StateFolder;
let state: StatePaths;
beforeEach(async () => {
  home = await useStateFolder();
  state = home.state;
});
afterEach(() => home[Symbol.asyncDispose]());

const ON_ONE_BY_TWO = ["kernel 2", "initramfs 2", "rootfs 1"];

/** As an earlier version left it. */
async function machineOfFormat1(image: Image): Promise<Machine> {
  const machine = await machineOf();
  machine.wasBooted = true;
  await createOverlay({
    base: image.rootfs ?? "",
    baseFormat: "raw",
    path: diskLayer(folderOf(machine), 0),
    sizeMib: 16,
  });
  await writeMachineRecord(machinePaths(state, "box"), recordOf("box", { wasBooted: true }));
  return machine;
}

describe("a machine whose record does not say what it stands on", () => {
  it("finds out by its disk, and holds it from then on, with a kernel and an initramfs that are talked to as now", async () => {
    const machine = await machineOfFormat1(await storeImage(state, "debian", "1"));
    await storeImage(state, "debian", "2");
    expect((await contentsOf(machine)).files).toEqual(ON_ONE_BY_TWO);
    await deleteImage("debian");
    expect((await contentsOf(machine)).files).toEqual(ON_ONE_BY_TWO);
  });

  it("takes hold of it when the image is removed", async () => {
    const machine = await machineOfFormat1(await storeImage(state, "debian", "1"));
    await deleteImage("debian");
    expect(readdirSync(state.images)).toEqual([]);
    await storeImage(state, "debian", "2");
    expect((await contentsOf(machine)).files).toEqual(ON_ONE_BY_TWO);
  });

  it("finds it in a state folder that was moved", async () => {
    const image = await storeImage(state, "debian", "1");
    const moved = { ...image, rootfs: `/elsewhere/images/${basename(dirname(image.kernel))}/rootfs.ext4` };
    expect((await contentsOf(await machineOfFormat1(moved))).files).toEqual(OF_ONE.files);
  });

  it("does not start on another disk where its own is gone", async () => {
    const image = await storeImage(state, "debian", "1");
    const machine = await machineOfFormat1(image);
    rmSync(dirname(image.kernel), { recursive: true });
    await storeImage(state, "debian", "2");
    await expect(bootFilesOf(machine, imageOf)).rejects.toThrow(/was made on .*rootfs.ext4, which is gone/);
  });

  it("starts as at first where it has no disk", async () => {
    await storeImage(state, "tiny", "1");
    const machine = await machineOf({ image: "tiny" });
    machine.wasBooted = true;
    expect((await contentsOf(machine)).files).toEqual(["kernel 1", "initramfs 1", null]);
  });
});
