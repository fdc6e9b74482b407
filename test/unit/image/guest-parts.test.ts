import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ImageError } from "../../../src/errors.ts";
import { listApplets } from "../../../src/image/applets.ts";
import { file, folder, link, withFolders } from "../../../src/image/initramfs.ts";
import { extractKernel } from "../../../src/image/kernel.ts";
import { collectModules } from "../../../src/image/modules.ts";
import { PackageFiles, programsWithLibraries } from "../../../src/image/programs.ts";
import type { TarMember } from "../../../src/image/tar.ts";
import { encodeCpio } from "../../../src/util/cpio.ts";
import { neededLibraries, readElfSection, readModuleInfo } from "../../../src/util/elf.ts";
import { makeBzImage, makeElf, makeModule, makeProgram } from "../../support/debian-fixtures.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

/** "\x7fELF" and 50 times "kernel", by `zstd -19` and `xz`. */
const KERNEL = Buffer.from(`\x7fELF${"kernel".repeat(50)}`, "latin1");
const KERNEL_ZSTD = "KLUv/WQwAI0AAFB/RUxGa2VybmVsAQAjUQsSfOzmZQ==";
const KERNEL_XZ =
  "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AEvABNdAD+RRYRsMNLvJuI7mY+EDfkwAAAAAJz15akAASuwAgAAALfh8BQ+MA2LAgAAAAABWVo=";

const member = (path: string, data: Uint8Array): TarMember => ({
  path,
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  data,
});
const symlink = (path: string, linkTarget: string): TarMember => ({
  path,
  type: "symlink",
  mode: 0o777,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  linkTarget,
});

describe("the kernel", () => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(KERNEL.length);

  it.each([
    ["zstd, its size behind it", Buffer.concat([Buffer.from(KERNEL_ZSTD, "base64"), size])],
    ["gzip", gzipSync(KERNEL)],
    ["xz", Buffer.from(KERNEL_XZ, "base64")],
  ])("is taken out of a bzImage packed by %s", async (_, payload) => {
    expect(await extractKernel(makeBzImage(payload), "x86_64")).toEqual(KERNEL);
  });

  it("may be an ELF file already, or a plain or packed Image for arm64", async () => {
    expect(await extractKernel(KERNEL, "x86_64")).toBe(KERNEL);
    const image = Buffer.alloc(100);
    image.write("ARM\x64", 56, "latin1");
    expect(await extractKernel(image, "aarch64")).toBe(image);
    const payload = gzipSync(image);
    const zboot = Buffer.concat([Buffer.alloc(64), payload]);
    zboot.write("MZ\0\0zimg", "latin1");
    zboot.writeUInt32LE(64, 8);
    zboot.writeUInt32LE(payload.length, 12);
    expect(await extractKernel(zboot, "aarch64")).toEqual(image);
  });

  it.each([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("no kernel".repeat(100))],
    ["a payload of an unknown kind", makeBzImage(Buffer.from("?".repeat(50)))],
    ["a payload that is no kernel", makeBzImage(gzipSync("hello"))],
    ["a payload cut short", makeBzImage(gzipSync(KERNEL)).subarray(0, -10)],
    [
      "a payload that says it is enormous",
      makeBzImage(Buffer.concat([Buffer.from(KERNEL_ZSTD, "base64"), Buffer.alloc(4, 255)])),
    ],
  ])("is refused where there is %s", async (_, image) => {
    await expect(extractKernel(image, "x86_64")).rejects.toThrow(ImageError);
    await expect(extractKernel(image, "aarch64")).rejects.toThrow(ImageError);
  });

  it("is read or refused, but breaks nothing, whatever is flipped in it", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const image = makeBzImage(gzipSync(KERNEL));
    for (let round = 0; round < 200; round++) {
      const copy = Buffer.from(image);
      for (let flips = random(4); flips >= 0; flips--) copy[random(copy.length)] = random(256);
      const outcome = await extractKernel(copy, "x86_64").then(
        Buffer.isBuffer,
        (error: unknown) => error instanceof ImageError,
      );
      expect(outcome, `TEST_SEED=${seed}, round ${round}`).toBe(true);
    }
  });
});

describe("an ELF file", () => {
  it("tells its sections, its libraries and its loader", () => {
    const program = makeProgram(["libc.so.6", "libz.so.1"], "/lib64/ld-linux-x86-64.so.2");
    expect(neededLibraries(program)).toEqual({
      libraries: ["libc.so.6", "libz.so.1"],
      loader: "/lib64/ld-linux-x86-64.so.2",
    });
    expect(neededLibraries(makeElf({ ".text": Buffer.from("x") }))).toEqual({
      libraries: [],
      loader: undefined,
    });
    expect(readElfSection(program, ".nothing")).toBeUndefined();
    expect(readModuleInfo(makeModule(["a", "b"])).get("depends")).toBe("a,b");
  });

  it("is read or refused by a RangeError, whatever is flipped in it", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const program = makeProgram(["libc.so.6"], "/lib/ld.so");
    for (let round = 0; round < 1000; round++) {
      const copy = Buffer.from(program);
      for (let flips = random(4); flips >= 0; flips--) copy[random(copy.length)] = random(256);
      const bytes = random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy;
      try {
        expect(neededLibraries(bytes).libraries).toBeInstanceOf(Array);
      } catch (error) {
        expect(error, `TEST_SEED=${seed}, round ${round}`).toBeInstanceOf(RangeError);
      }
    }
  });
});

describe("kernel modules", () => {
  const path = "usr/lib/modules/6.12/kernel/drivers";
  const files = [
    member(`${path}/virtio_net.ko`, makeModule(["net_failover", "builtin-one"])),
    member(`${path}/net_failover.ko`, makeModule(["failover"])),
    member(`${path}/failover.ko`, makeModule([])),
    member(`${path}/virtio-rng.ko`, makeModule([])),
    member(
      "usr/lib/modules/6.12/modules.builtin",
      Buffer.from("kernel/lib/builtin-one.ko\nkernel/fs/ext4/ext4.ko\n"),
    ),
  ];

  it("come with those they need, which come first; what is built in is left out", async () => {
    const modules = await collectModules(files, ["virtio_net", "ext4", "virtio_rng"]);
    expect(modules.map(({ name }) => name)).toEqual(["failover", "net_failover", "virtio_net", "virtio_rng"]);
  });

  it("lose their signature", async () => {
    const module = makeModule([]);
    const signature = Buffer.alloc(20, 1);
    const footer = Buffer.alloc(12);
    footer.writeUInt32BE(signature.length, 8);
    const signed = Buffer.concat([module, signature, footer, Buffer.from("~Module signature appended~\n")]);
    const [found] = await collectModules([member(`${path}/x.ko`, signed)], ["x"]);
    expect(found?.content).toEqual(module);
  });

  it("are named where they are missing", async () => {
    await expect(collectModules(files, ["floppy"])).rejects.toThrow("The kernel has no module floppy.");
  });
});

describe("programs", () => {
  const triplet = "x86_64-linux-gnu";
  const files = new PackageFiles([
    member("usr/sbin/server", makeProgram(["libz.so.1", "libc.so.6"], "/lib64/ld-linux.so.2")),
    symlink(`usr/lib/${triplet}/libz.so.1`, "libz.so.1.3"),
    member(`lib/${triplet}/libz.so.1.3`, makeProgram(["libc.so.6"])),
    member(`usr/lib/${triplet}/libc.so.6`, makeProgram(["ld-linux.so.2"])),
    symlink("usr/lib64/ld-linux.so.2", `../lib/${triplet}/ld-linux.so.2`),
    member(`usr/lib/${triplet}/ld-linux.so.2`, makeProgram([])),
    symlink("usr/bin/loop", "loop"),
  ]);

  it("come with their libraries and loader, at the places where they are looked for", () => {
    const entries = programsWithLibraries(files, ["usr/sbin/server"], triplet);
    expect(entries.map(({ path }) => path).sort()).toEqual([
      `usr/lib/${triplet}/libc.so.6`,
      `usr/lib/${triplet}/libz.so.1`,
      "usr/lib64/ld-linux.so.2",
      "usr/sbin/server",
    ]);
    expect(entries.every(({ data }) => (data?.length ?? 0) > 0)).toBe(true);
  });

  it.each([
    ["a missing file", "usr/bin/nothing", /no file usr\/bin\/nothing/],
    ["a link to itself", "usr/bin/loop", /no file usr\/bin\/loop/],
  ])("are named where there is %s", (_, path, message) => {
    expect(() => programsWithLibraries(files, [path], triplet)).toThrow(message);
  });

  it("are named where a library is missing", () => {
    const lonely = new PackageFiles([member("usr/bin/x", makeProgram(["libgone.so.9"]))]);
    expect(() => programsWithLibraries(lonely, ["usr/bin/x"], triplet)).toThrow(
      "The packages have no library libgone.so.9.",
    );
  });
});

describe("busybox", () => {
  it("tells its applets", () => {
    const program = Buffer.from(
      "junk [\0[[\0wrong \x01\0\0 more junk[\0[[\0ash\0cat\0sh\0zcat\0\0tail",
      "latin1",
    );
    expect(listApplets(program)).toEqual(["[", "[[", "ash", "cat", "sh", "zcat"]);
    expect(() => listApplets(Buffer.from("no busybox"))).toThrow(ImageError);
  });
});

describe("a cpio archive", () => {
  it("has each member's header, name and data aligned to four bytes, and is a multiple of 512 long", () => {
    const archive = encodeCpio([
      folder("etc"),
      file("etc/x", "abc", 0o100600),
      link("l", "etc/x"),
      { path: "dev/console", mode: 0o020600, device: { major: 5, minor: 1 } },
    ]);
    expect(archive.length % 512).toBe(0);
    const members = parseCpio(archive);
    expect(members.map(({ path, mode, data }) => [path, mode.toString(8), data])).toEqual([
      ["etc", "40755", ""],
      ["etc/x", "100600", "abc"],
      ["l", "120777", "etc/x"],
      ["dev/console", "20600", ""],
      ["TRAILER!!!", "0", ""],
    ]);
    expect(members[3]).toMatchObject({ major: 5, minor: 1 });
  });

  it("is the same for the same members", () => {
    expect(encodeCpio([file("x", "y")])).toEqual(encodeCpio([file("x", "y")]));
  });

  it.each(["", "/abs", "a/../b", "a\0b"])("refuses the name %j", (path) => {
    expect(() => encodeCpio([{ path, mode: 0o100644 }])).toThrow(RangeError);
  });

  it("gets the folders that are missing, each before what it holds, and keeps those that are there", () => {
    const entries = withFolders([file("a/b/c", "x"), { path: "a", mode: 0o040700 }, file("a/b/c", "second")]);
    expect(entries.map(({ path, mode }) => [path, mode.toString(8)])).toEqual([
      ["a", "40700"],
      ["a/b", "40755"],
      ["a/b/c", "100644"],
    ]);
    expect(entries[2]?.data?.toString()).toBe("x");
  });
});

/** A reader of its own, after the kernel's description of the format. */
function parseCpio(archive: Buffer) {
  const members = [];
  for (let at = 0; archive.toString("latin1", at, at + 6) === "070701"; ) {
    const field = (index: number) =>
      Number.parseInt(archive.toString("latin1", at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const nameEnd = at + 110 + field(11);
    const dataAt = (nameEnd + 3) & ~3;
    members.push({
      path: archive.toString("utf8", at + 110, nameEnd - 1),
      mode: field(1),
      data: archive.toString("utf8", dataAt, dataAt + field(6)),
      major: field(9),
      minor: field(10),
    });
    at = (dataAt + field(6) + 3) & ~3;
  }
  return members;
}
