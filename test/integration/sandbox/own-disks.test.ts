import { readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { appendFile, copyFile, link, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationAbortedError } from "../../../src/errors.ts";
import { inspectImage } from "../../../src/image/images.ts";
import { resolveBootFiles } from "../../../src/sandbox/boot/boot-files.ts";
import { ownDisks } from "../../../src/sandbox/boot/cold.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import { listLayers, shareDisk } from "../../../src/state/disk-layers.ts";
import { diskLayer, type StatePaths } from "../../../src/state/paths.ts";
import { folderOf, imageOf, machineOf } from "../../support/held-machines.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

vi.mock("node:fs/promises", { spy: true });

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

  /** Starts it that often, each time after a backup that links to its highest layer, and gives those of one such round. */
  async function backUpAndStart(rounds: number, most = Number.POSITIVE_INFINITY) {
    const image = await storeImage(state, "debian", "1");
    const { disk } = await resolveBootFiles(parseSpec({}).source, "x86_64", async () => image);
    const folder = folderOf(await machineOf());
    await ownDisks(disk, folder, 16, true);
    const backups: { path: string; content: string }[] = [];
    for (let round = 0; round < rounds; round++) {
      const layers = await listLayers(folder);
      expect(layers.length).toBeLessThanOrEqual(most);
      const [top, path] = [layers.at(-1) ?? "", join(state.home, `backup-${round}`)];
      await appendFile(top, `written before round ${round}`);
      await link(top, path);
      backups.push({ path, content: readFileSync(path, "latin1") });
      const [started] = await ownDisks(disk, folder, 16, true);
      expect(statSync(started?.path ?? "").nlink).toBe(1); // what the guest writes to is its own alone
    }
    return { folder, backups };
  }

  it("has no layer more for each backup of links, and writes to none of them", async () => {
    const { folder, backups } = await backUpAndStart(40, 32);
    for (const { path, content } of backups) expect(readFileSync(path, "latin1")).toBe(content);
    const layers = await listLayers(folder);
    expect(layers).toHaveLength(32);
    expect(readFileSync(layers.at(-1) ?? "", "latin1")).toBe(backups.at(-1)?.content);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("is rid at the next start of what a crash left of a copy", async () => {
    const image = await storeImage(state, "debian", "1");
    const { disk } = await resolveBootFiles(parseSpec({}).source, "x86_64", async () => image);
    const folder = folderOf(await machineOf());
    await ownDisks(disk, folder, 16, true);
    await appendFile(`${diskLayer(folder, 0)}.part`, "half");
    await ownDisks(disk, folder, 16, true);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("has a layer more where the highest can't be copied", async () => {
    const { folder } = await backUpAndStart(31);
    vi.mocked(copyFile).mockImplementationOnce(async (_from, to) => {
      await appendFile(to, "half");
      throw Object.assign(new Error("the disk is full"), { code: "ENOSPC" });
    });
    const [top = ""] = (await listLayers(folder)).slice(-1);
    const before = readFileSync(top, "latin1");
    await link(top, join(state.home, "last"));
    const image = await storeImage(state, "debian", "1");
    const { disk } = await resolveBootFiles(parseSpec({}).source, "x86_64", async () => image);
    expect((await ownDisks(disk, folder, 16, true))[0]?.path).toBe(diskLayer(folder, 32));
    expect(readFileSync(top, "latin1")).toBe(before);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("has no layer more where the copy of the highest was aborted", async () => {
    const { folder } = await backUpAndStart(31);
    const [top = ""] = (await listLayers(folder)).slice(-1);
    await link(top, join(state.home, "last"));
    const image = await storeImage(state, "debian", "1");
    const { disk } = await resolveBootFiles(parseSpec({}).source, "x86_64", async () => image);
    const starting = ownDisks(disk, folder, 16, true, AbortSignal.abort());
    await expect(starting).rejects.toBeInstanceOf(OperationAbortedError);
    expect(await listLayers(folder)).toHaveLength(32);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("is not copied, where no links are to be had, for who does not want it any more", async () => {
    const { folder } = await backUpAndStart(1);
    vi.mocked(link).mockRejectedValueOnce(Object.assign(new Error("elsewhere"), { code: "EXDEV" }));
    const copying = shareDisk(folder, state.home, { signal: AbortSignal.abort() });
    await expect(copying).rejects.toBeInstanceOf(OperationAbortedError);
    expect(await listLayers(state.home)).toEqual([]);
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
