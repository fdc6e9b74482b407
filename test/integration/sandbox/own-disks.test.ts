import { readdirSync, symlinkSync } from "node:fs";
import { link, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inspectImage } from "../../../src/image/images.ts";
import { resolveBootFiles } from "../../../src/sandbox/boot-files.ts";
import { ownDisks } from "../../../src/sandbox/cold.ts";
import { parseSpec } from "../../../src/sandbox/spec.ts";
import { diskLayer, type StatePaths } from "../../../src/state/paths.ts";
import { folderOf, imageOf, machineOf } from "../../support/held-machines.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

let home: StateFolder;
let state: StatePaths;
beforeEach(async () => {
  home = await useStateFolder();
  state = home.state;
});
afterEach(() => home[Symbol.asyncDispose]());

describe("the disk of a machine", () => {
  it("is written to in a new layer where the highest is a snapshot's too", async () => {
    const image = await storeImage(state, "debian", "1");
    const { disk } = await resolveBootFiles(parseSpec({}).source, "x86_64", async () => image);
    const folder = folderOf(await machineOf());
    const [first] = await ownDisks(disk, folder, 16, true);
    expect(first?.path).toBe(diskLayer(folder, 0));
    expect((await ownDisks(disk, folder, 16, true))[0]?.path).toBe(diskLayer(folder, 0));
    await link(diskLayer(folder, 0), join(state.home, "frozen"));
    const [second] = await ownDisks(disk, folder, 16, true);
    expect(second).toMatchObject({ path: diskLayer(folder, 1), backing: { path: diskLayer(folder, 0) } });
  });

  it("is not begun again where its files can't be looked at", async () => {
    const image = await storeImage(state, "debian", "1");
    const { disk } = await resolveBootFiles(parseSpec({}).source, "x86_64", async () => image);
    const folder = folderOf(await machineOf());
    await ownDisks(disk, folder, 16, true);
    symlinkSync(basename(diskLayer(folder, 1)), diskLayer(folder, 1)); // it leads to itself: ELOOP
    await expect(ownDisks(disk, folder, 16, true)).rejects.toThrow(/ELOOP/);
  });
});

describe("an image that can't be read at the moment", () => {
  it("is neither set aside nor built a second time", async () => {
    const { kernel } = await storeImage(state, "debian", "1");
    await rename(kernel, `${kernel}.away`);
    symlinkSync(basename(kernel), kernel); // it leads to itself: ELOOP
    const names = readdirSync(state.images);
    for (const look of [() => imageOf("debian"), () => inspectImage(state, "debian")])
      await expect(look()).rejects.toThrow(/can't be read: ELOOP/);
    expect(readdirSync(state.images)).toEqual(names);
    await rename(`${kernel}.away`, kernel);
    expect((await imageOf("debian")).kernel).toBe(kernel);
  });
});
