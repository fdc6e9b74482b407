import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ImageError, OperationAbortedError } from "../../../src/errors.ts";
import { unxz, unzstd } from "../../../src/image/compression.ts";
import { readDeb } from "../../../src/image/deb.ts";
import { decodeTar, encodeTarPart, TAR_END, type TarMember } from "../../../src/image/tar.ts";
import { decodeAr } from "../../../src/util/ar.ts";
import { makeAr, makeDeb, makeTar } from "../../support/debian-fixtures.ts";
import { chooseSeed, type Random, seededRandom } from "../../support/random.ts";

const XZ = "/Td6WFoAAAFpIt42AgAhARwAAAAQz1jMAQANaGVsbG8gZnJvbSB4egoAAABE8c6SAAEiDgzejGCQQpkNAQAAAAABWVo=";
const ZSTD = "KLUv/QBogQAAaGVsbG8gZnJvbSB6c3RkCg==";

const member = (path: string, more: Partial<TarMember> = {}): TarMember => ({
  path,
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSeconds: 1_700_000_000,
  data: new Uint8Array(0),
  ...more,
});

describe("an ar archive", () => {
  it("gives back its members, of even and odd length", () => {
    const members = decodeAr(
      makeAr([
        ["one", Buffer.from("odd")],
        ["two/", Buffer.from("even")],
      ]),
    );
    expect(members.map(({ name, data }) => [name, data.toString()])).toEqual([
      ["one", "odd"],
      ["two", "even"],
    ]);
  });

  it.each([
    ["not an archive", Buffer.from("!<arkh>\n")],
    ["a header cut short", makeAr([["one", Buffer.from("x")]]).subarray(0, 40)],
    ["a member cut short", makeAr([["one", Buffer.alloc(100)]]).subarray(0, 100)],
    [
      "a size that is no number",
      Buffer.from(
        makeAr([["one", Buffer.from("x")]])
          .toString()
          .replace("1         `", "-1        `"),
      ),
    ],
  ])("is refused: %s", (_, bytes) => {
    expect(() => decodeAr(bytes)).toThrow(RangeError);
  });
});

describe("a tar archive", () => {
  it("survives writing and reading: kinds, modes, owners, times, long names", async () => {
    const long = `${"folder/".repeat(20)}file`;
    const members: TarMember[] = [
      { ...member("etc", { type: "directory", mode: 0o755 }), data: undefined } as never,
      member("etc/shadow", { mode: 0o640, gid: 42, data: Buffer.from("secret") }),
      member(long, { mode: 0o4755, data: Buffer.alloc(513, 7) }),
      { ...member("etc/link", { type: "symlink", linkTarget: "../usr/etc/../x" }), data: undefined } as never,
      { ...member("etc/hard", { type: "link", linkTarget: "etc/shadow" }), data: undefined } as never,
    ];
    const read = await decodeTar(Buffer.concat([await encodeTarPart(members), TAR_END]));
    expect(read.map(({ path, type, gid, linkTarget }) => [path, type, gid, linkTarget])).toEqual([
      ["etc", "directory", 0, undefined],
      ["etc/shadow", "file", 42, undefined],
      [long, "file", 0, undefined],
      ["etc/link", "symlink", 0, "../usr/etc/../x"],
      ["etc/hard", "link", 0, "etc/shadow"],
    ]);
    expect(read[2]).toMatchObject({
      mode: 0o4755,
      mtimeSeconds: 1_700_000_000,
      data: new Uint8Array(513).fill(7),
    });
  });

  it("has plain headers only: a name that doesn't fit is refused", async () => {
    await expect(encodeTarPart([member("x".repeat(101))])).rejects.toThrow(RangeError);
    await expect(encodeTarPart([member("x", { linkTarget: "y".repeat(101) })])).rejects.toThrow(RangeError);
    const longest = `${"a".repeat(150)}/${"b".repeat(98)}`;
    const bytes = await encodeTarPart([member(longest)]);
    expect(bytes.length).toBe(512);
  });

  it("loses the dots and slashes of its names", async () => {
    const read = await decodeTar(await makeTar({ "usr//share/./x": { data: "x" } }));
    expect(read.map(({ path }) => path)).toEqual(["usr/share/x"]);
  });

  it.each(["../evil", "usr/../../evil", "usr/.."])(
    "is refused where it leads out of its folder: %s",
    async (path) => {
      await expect(decodeTar(await makeTar({ [path]: { data: "x" } }))).rejects.toThrow(/leads out/);
    },
  );

  it("is refused where it is cut short or damaged", async () => {
    const whole = await makeTar({ "usr/bin/x": { data: Buffer.alloc(2000) } });
    await expect(decodeTar(whole.subarray(0, 1500))).rejects.toThrow(RangeError);
    const damaged = Uint8Array.from(whole);
    damaged[3] = 1;
    await expect(decodeTar(damaged)).rejects.toThrow(RangeError);
  });
});

describe("a package", () => {
  it("is unpacked into its control files and its files", async () => {
    const deb = await makeDeb(
      { control: "Package: x\n", postinst: "#!/bin/sh\n" },
      { "usr/x": { data: "content" } },
    );
    const { control, data } = await readDeb(deb, "x");
    expect(control.map(({ path }) => path)).toEqual(["control", "postinst"]);
    expect(Buffer.from(data[0]?.data ?? "").toString()).toBe("content");
  });

  it("may hold its parts unpacked, or packed by gzip", async () => {
    const tar = await makeTar({ x: { data: "x" } });
    const deb = makeAr([
      ["debian-binary", Buffer.from("2.0\n")],
      ["control.tar", tar],
      ["data.tar.gz", gzipSync(tar)],
    ]);
    expect((await readDeb(deb, "x")).data).toHaveLength(1);
  });

  it.each([
    ["another format", [["debian-binary", Buffer.from("3.0\n")]]],
    [
      "no data",
      [
        ["debian-binary", Buffer.from("2.0\n")],
        ["control.tar.gz", gzipSync(Buffer.alloc(1024))],
      ],
    ],
    [
      "an unknown packer",
      [
        ["debian-binary", Buffer.from("2.0\n")],
        ["control.tar.rar", Buffer.from("x")],
      ],
    ],
    [
      "damaged xz",
      [
        ["debian-binary", Buffer.from("2.0\n")],
        ["control.tar.xz", Buffer.from(XZ, "base64").fill(0, 20, 30)],
      ],
    ],
  ] as const)("is refused by name: %s", async (_, members) => {
    await expect(readDeb(makeAr(members as never), "strange")).rejects.toThrow(
      /package strange can't be unpacked/,
    );
    await expect(readDeb(makeAr(members as never), "strange")).rejects.toBeInstanceOf(ImageError);
  });
});

describe("compressed data", () => {
  it("is unpacked from xz, twice at the same time", async () => {
    const packed = Buffer.from(XZ, "base64");
    const both = await Promise.all([unxz(packed), unxz(packed)]);
    expect(both.map(String)).toEqual(["hello from xz\n", "hello from xz\n"]);
  });

  it("is unpacked from zstd", async () => {
    expect((await unzstd(Buffer.from(ZSTD, "base64"))).toString()).toBe("hello from zstd\n");
    expect((await unzstd(Buffer.from(ZSTD, "base64"), 16)).toString()).toBe("hello from zstd\n");
  });

  it("lets this process hear that it is not wanted any more, and so does a package", async () => {
    const packed = Buffer.from(XZ, "base64");
    await unxz(packed); // by now its code is loaded
    const abort = new AbortController();
    setImmediate(() => abort.abort());
    await expect(unxz(packed, abort.signal)).rejects.toBeInstanceOf(OperationAbortedError);
    const tar = await makeTar({ x: { data: "x" } });
    const deb = makeAr([
      ["debian-binary", Buffer.from("2.0\n")],
      ["control.tar", tar],
      ["data.tar", tar],
    ]);
    await expect(readDeb(deb, "x", abort.signal)).rejects.toBeInstanceOf(OperationAbortedError);
  });

  it("throws where it is damaged, and the next one is unpacked all the same", async () => {
    const packed = Buffer.from(XZ, "base64");
    await expect(unxz(packed.subarray(0, 40))).rejects.toThrow();
    await expect(unxz(Buffer.from(packed).fill(9, 24, 28))).rejects.toThrow();
    await expect(unxz(Buffer.alloc(0))).rejects.toThrow();
    expect(String(await unxz(packed))).toBe("hello from xz\n");
  });
});

describe("random damage", () => {
  it("either changes nothing that is read or is refused, by an error of ours", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const deb = await makeDeb(
      { control: "Package: x\n" },
      { "usr/x": { data: "content" }, "usr/y": { link: "x" } },
    );
    for (let round = 0; round < 300; round++) {
      const outcome = await readDeb(damage(deb, random), "x").then(
        ({ data }) => data.every(({ path }) => !path.startsWith("/") && !path.split("/").includes("..")),
        (error: unknown) => error instanceof ImageError,
      );
      expect(outcome, `TEST_SEED=${seed}, round ${round}`).toBe(true);
    }
  });
});

function damage(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  for (let flips = random(4); flips >= 0; flips--) copy[random(copy.length)] = random(256);
  return random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy;
}
