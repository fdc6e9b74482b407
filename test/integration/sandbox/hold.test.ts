import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ImageError } from "../../../src/errors.ts";
import { readBackingPath } from "../../../src/qemu/disk.ts";
import { ownDisks } from "../../../src/sandbox/boot/cold.ts";
import { bootFilesOf, holdBootFiles, holdSaved } from "../../../src/sandbox/boot/hold.ts";
import { writeSeededInitramfs } from "../../../src/sandbox/boot/seed.ts";
import { bytesIn } from "../../../src/sandbox/machine/info.ts";
import { deleteImage } from "../../../src/sandbox/upkeep/images.ts";
import { shareDisk } from "../../../src/state/disk-layers.ts";
import { GUEST_FORMAT } from "../../../src/state/held-files.ts";
import { writeMachineRecord } from "../../../src/state/machine-folder.ts";
import {
  diskBase,
  heldInitramfs,
  heldKernel,
  machinePaths,
  type StatePaths,
} from "../../../src/state/paths.ts";
import { contentsOf, folderOf, imageOf, machineOf, OF_ONE, startFirst } from "../../support/held-machines.ts";
import { recordOf } from "../../support/machine-records.ts";
import { promptly, putFifo } from "../../support/no-files.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

let home: StateFolder;
let state: StatePaths;
beforeEach(async () => {
  home = await useStateFolder();
  state = home.state;
});
afterEach(() => home[Symbol.asyncDispose]());

describe("a machine that was started", () => {
  it("boots from its own image though there is a newer one of the same name and recipe", async () => {
    await storeImage(state, "debian", "1");
    const machine = await startFirst(await machineOf());
    await storeImage(state, "debian", "2");
    expect((await imageOf("debian")).manifest.digest[0]).toBe("2");
    expect(await contentsOf(machine)).toEqual(OF_ONE);
    expect(machine.held?.image).toEqual({ name: "debian", digest: "1".repeat(64), kernelVersion: "6.1" });
    expect(await contentsOf(await startFirst(await machineOf({ name: "new" })))).toMatchObject({
      digest: "2",
    });
  });

  it("boots from it after the image was removed, and nothing is built", async () => {
    await storeImage(state, "debian", "1");
    await storeImage(state, "tiny", "3");
    const machine = await startFirst(await machineOf());
    const tiny = await startFirst(await machineOf({ name: "small", image: "tiny" }));
    await deleteImage("debian");
    await deleteImage("tiny");
    expect(readdirSync(state.images)).toEqual([]);
    expect(await contentsOf(machine)).toEqual(OF_ONE);
    expect(await contentsOf(tiny)).toEqual({ digest: "3", files: ["kernel 3", "initramfs 3", null] });
  });

  it("keeps its disk alone where its initramfs is talked to in another way, and says so in its record", async () => {
    await storeImage(state, "debian", "1");
    await storeImage(state, "tiny", "3");
    const debian = await startFirst(await machineOf());
    const tiny = await startFirst(await machineOf({ name: "small", image: "tiny" }));
    await storeImage(state, "debian", "2");
    await storeImage(state, "tiny", "4");
    for (const machine of [debian, tiny])
      machine.held = machine.held && { ...machine.held, guestFormat: GUEST_FORMAT - 1 };
    for (const next of [deleteImage, null]) {
      expect((await contentsOf(debian)).files).toEqual(["kernel 2", "initramfs 2", "rootfs 1"]);
      expect((await contentsOf(tiny)).files).toEqual(["kernel 4", "initramfs 4", null]);
      expect(debian.held).toMatchObject({ guestFormat: GUEST_FORMAT, kernel: null, initramfs: null });
      await next?.("debian");
      await next?.("tiny");
    }
  });

  it("does not count what it shares with its image as its own, until the image is gone", async () => {
    await storeImage(state, "debian", "1");
    const machine = await startFirst(await machineOf());
    const shared = await bytesIn(folderOf(machine));
    await deleteImage("debian");
    const blocks = [diskBase, heldKernel, heldInitramfs].map(
      (file) => statSync(file(folderOf(machine))).blocks,
    );
    expect(await bytesIn(folderOf(machine))).toBe(shared + blocks.reduce((sum, each) => sum + each * 512, 0));
  });

  it("says which file is missing where one was taken from its folder", async () => {
    await storeImage(state, "debian", "1");
    const machine = await startFirst(await machineOf());
    await rm(diskBase(folderOf(machine)));
    await expect(bootFilesOf(machine, imageOf)).rejects.toThrow(
      /"box" can't start from the disk that its own lies on: .*base.img is missing/,
    );
    await expect(bootFilesOf(machine, imageOf)).rejects.toBeInstanceOf(ImageError);
  });
});

describe("a machine in whose folder a fifo has a file's place", () => {
  it.each(Object.entries({ diskBase, heldKernel, heldInitramfs }))("says which: %s", async (_, fileIn) => {
    await storeImage(state, "debian", "1");
    const machine = await startFirst(await machineOf());
    putFifo(fileIn(folderOf(machine)));
    await expect(promptly(bootFilesOf(machine, imageOf))).rejects.toThrow(
      /"box" can't start from .*(base.img|vmlinux|base.cpio) is a fifo, and no file/,
    );
  });

  it("neither boots from it, writes to it, nor takes it for a disk", async () => {
    const { folder, disk, initramfs } = machinePaths(state, "box");
    const fifo = join(folder, "fifo");
    for (const path of [fifo, disk, initramfs]) putFifo(path);
    const seed = { hostname: "h", network: "off", machineId: "0", authorizedKey: "k" } as const;
    const write = (from: string) =>
      promptly(writeSeededInitramfs(from, initramfs, { ...seed, hostKey: new Uint8Array(1) }));
    await expect(write(fifo)).rejects.toThrow("fifo is a fifo, and no file");
    const base = join(folder, "base");
    await writeFile(base, "base");
    await write(base);
    expect(statSync(initramfs).isFile()).toBe(true);
    const own = { ...seed, hostKey: new Uint8Array(1) };
    const tooLarge = writeSeededInitramfs(base, initramfs, own, { mostBytes: 3 });
    await expect(tooLarge).rejects.toThrow("base has 4 bytes, where 3 are the most");
    const files = { path: base, format: "raw", bytes: 4 } as const;
    await expect(promptly(ownDisks(files, folder, 1, true))).rejects.toThrow("disk.qcow2 is a fifo");
    expect(await promptly(readBackingPath(disk))).toBeNull();
    await expect(promptly(shareDisk(folder, join(state.home, "other")))).rejects.toThrow("is a fifo");
  });
});

describe("an image that is removed while a machine is started from it", () => {
  it("is an error that says so", async () => {
    await storeImage(state, "debian", "1");
    const machine = await machineOf();
    const files = await bootFilesOf(machine, imageOf);
    await deleteImage("debian");
    await expect(holdBootFiles(machine, files, folderOf(machine))).rejects.toThrow(
      /removed while it was being started/,
    );
  });
});

describe("a machine that could take no links", () => {
  const elsewhere = async () => {
    const image = await storeImage(state, "debian", "1");
    const machine = await startFirst(await machineOf());
    const at = async (path: string) => ({
      path,
      identity: `${statSync(path).size} ${statSync(path, { bigint: true }).mtimeNs}`,
    });
    const disk = { format: "raw", bytes: 8, elsewhere: await at(image.rootfs ?? "") } as const;
    machine.held = {
      image: null,
      disk,
      kernel: await at(image.kernel),
      initramfs: await at(image.initramfs),
      guestFormat: GUEST_FORMAT,
    };
    for (const file of [diskBase, heldKernel, heldInitramfs]) rmSync(file(folderOf(machine)));
    const record = recordOf("box", { wasBooted: true, held: machine.held });
    await writeMachineRecord(machinePaths(state, "box"), record);
    return { image, machine };
  };

  it("keeps its image from being removed, and is named", async () => {
    const { machine } = await elsewhere();
    const error = await deleteImage("debian").catch((failure) => failure);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(/"debian" can't be removed: .* machine "box"/);
    expect(error.remediation).toBe("Remove them first: smolvm rm -f box");
    expect((await contentsOf(machine)).files).toEqual(OF_ONE.files);
    await rm(folderOf(machine), { recursive: true });
    await deleteImage("debian");
  });

  it("does not start on a file that was changed since, and does on a copy that kept its time", async () => {
    const { image, machine } = await elsewhere();
    const rootfs = image.rootfs ?? "";
    const { mtime } = statSync(rootfs);
    await writeFile(rootfs, "ROOTFS 1");
    await utimes(rootfs, 1, 1);
    await expect(bootFilesOf(machine, imageOf)).rejects.toThrow(/rootfs.ext4 was changed or replaced since/);
    rmSync(rootfs);
    await expect(bootFilesOf(machine, imageOf)).rejects.toThrow(/rootfs.ext4 is gone/);
    await writeFile(rootfs, "rootfs 1");
    await utimes(rootfs, mtime, new Date(Math.floor(mtime.getTime() / 1000) * 1000)); // as tar keeps it
    expect((await contentsOf(machine)).files).toEqual(OF_ONE.files);
  });
});

describe("a machine with a kernel and a disk of its owner's", () => {
  it("does not start where one of them was replaced", async () => {
    const path = (name: string) => join(state.home, name);
    for (const name of ["vmlinux", "initrd", "disk"]) await writeFile(path(name), name);
    const own = { kernelPath: path("vmlinux"), initrdPath: path("initrd"), rootfsPath: path("disk") };
    const machine = await startFirst(await machineOf({ ...own, bootArgs: "console=ttyS0" }));
    expect((await contentsOf(machine)).files).toEqual(["vmlinux", "initrd", "disk"]);
    expect(existsSync(diskBase(folderOf(machine)))).toBe(false);
    for (const [name, what] of [
      ["vmlinux", "its kernel"],
      ["initrd", "its initramfs"],
      ["disk", "the disk that its own lies on"],
    ] as const) {
      const { atime, mtime } = statSync(path(name));
      await writeFile(path(name), "another one");
      await expect(bootFilesOf(machine, imageOf)).rejects.toThrow(
        new RegExp(`${what}: .*${name} was changed or replaced`),
      );
      await writeFile(path(name), name);
      await utimes(path(name), atime, mtime);
    }
    await bootFilesOf(machine, imageOf);
  });

  it("holds our initramfs where it boots with that", async () => {
    const image = await storeImage(state, "debian", "1");
    const path = join(state.home, "any");
    await writeFile(path, "own");
    const options = { kernelPath: path, rootfsPath: path, bootArgs: "console=ttyS0 init=/init" };
    const machine = await startFirst(await machineOf(options));
    await storeImage(state, "debian", "2");
    rmSync(dirname(image.kernel), { recursive: true });
    expect((await contentsOf(machine)).files).toEqual(["own", "initramfs 1", "own"]);
  });
});

describe("a machine that goes on with a snapshot", () => {
  const restored = async (lacksKernel: boolean, name = "box") => {
    const source = await startFirst(await machineOf({ name: `${name}-source` }));
    if (lacksKernel) for (const file of [heldKernel, heldInitramfs]) rmSync(file(folderOf(source)));
    const machine = await machineOf({ name });
    const image = { name: "debian", digest: "1".repeat(64) };
    const facts = { image, own: null, base: source.held?.disk ?? null, guestFormat: GUEST_FORMAT };
    await holdSaved(machine, { paths: { folder: folderOf(source) }, facts } as never, folderOf(machine));
    machine.wasBooted = true;
    return machine;
  };

  it("boots from what its source did", async () => {
    await storeImage(state, "debian", "1");
    const machine = await restored(false);
    await deleteImage("debian");
    expect(await contentsOf(machine)).toEqual(OF_ONE);
  });

  it("that has no kernel takes that of the very image, or of the one that has its name", async () => {
    const { kernel } = await storeImage(state, "debian", "1");
    const [one, two] = [await restored(true, "one"), await restored(true, "two")];
    await storeImage(state, "debian", "2");
    expect(await contentsOf(one)).toEqual(OF_ONE);
    rmSync(dirname(kernel), { recursive: true });
    expect((await contentsOf(two)).files).toEqual(["kernel 2", "initramfs 2", "rootfs 1"]);
  });
});
