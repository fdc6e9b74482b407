import { createHash } from "node:crypto";
import { createCleartextMessage, generateKey, readPrivateKey, sign } from "openpgp";
import { beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../../../src/errors.ts";
import { readDeb } from "../../../src/image/deb.ts";
import { debianFiles } from "../../../src/image/debian-files.ts";
import { openDpkgDatabase } from "../../../src/image/dpkg-database.ts";
import { decodeManifest } from "../../../src/image/manifest.ts";
import { recipeDigest } from "../../../src/image/recipe.ts";
import { readArchiveKeys, verifyRelease } from "../../../src/image/release.ts";
import type { TarMember } from "../../../src/image/tar.ts";
import { makeDeb, sha256 } from "../../support/debian-fixtures.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const MANIFEST = {
  formatVersion: 1,
  name: "debian",
  arch: "x86_64",
  digest: "0".repeat(64),
  recipe: "1".repeat(64),
  kernelVersion: "6.12.9-cloud-amd64",
  createdAt: "2026-01-02T03:04:05.678Z",
  kernelBytes: 1,
  initramfsBytes: 2,
  rootfsBytes: null,
  mirror: "https://mirror.example/debian",
  packages: [{ name: "apt", version: "3.0", sha256: "2".repeat(64) }],
};

describe("an image's manifest", () => {
  it("is read back as it was", () => {
    expect(decodeManifest(JSON.stringify(MANIFEST))).toEqual(MANIFEST);
  });

  it.each([
    ["", /no JSON/],
    ["[]", /./],
    [JSON.stringify({ ...MANIFEST, formatVersion: 2 }), /formatVersion/],
    [JSON.stringify({ ...MANIFEST, digest: "x" }), /digest/],
    [JSON.stringify({ ...MANIFEST, arch: "sparc" }), /arch/],
    [JSON.stringify({ ...MANIFEST, kernelBytes: 0 }), /kernelBytes/],
    [JSON.stringify({ ...MANIFEST, rootfsBytes: 1.5 }), /rootfsBytes/],
    [JSON.stringify({ ...MANIFEST, createdAt: "yesterday" }), /createdAt/],
    [JSON.stringify({ ...MANIFEST, packages: [{ name: "x" }] }), /packages\.0/],
    [JSON.stringify({ ...MANIFEST, more: 1 }), /more/],
  ])("is refused, naming the field: %s", (text, message) => {
    expect(() => decodeManifest(text)).toThrow(message);
    expect(() => decodeManifest(text)).toThrow(RangeError);
  });

  it("is read or refused by a RangeError, whatever is flipped in it", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 500; round++) {
      const bytes = Buffer.from(JSON.stringify(MANIFEST));
      for (let flips = random(3); flips >= 0; flips--) bytes[random(bytes.length)] = random(256);
      try {
        decodeManifest(bytes.toString());
      } catch (error) {
        expect(error, `TEST_SEED=${seed}, round ${round}`).toBeInstanceOf(RangeError);
      }
    }
  });
});

describe("dpkg's database", () => {
  const control =
    "Package: lib\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\nMaintainer: x\nDescription: y\n more\n";

  async function layOut(): Promise<Map<string, string>> {
    const database = openDpkgDatabase();
    const lib = await makeDeb(
      {
        control,
        conffiles: "/etc/lib.conf\n/etc/gone.conf\n",
        postinst: "#!/bin/sh\n",
        triggers: "# comment\ninterest-noawait /usr/share/x\ninterest ldconfig\nactivate-noawait other\n",
      },
      { etc: { folder: true }, "etc/lib.conf": { data: "setting" }, "usr/lib/l": { link: "m" } },
    );
    const tool = await makeDeb({ control: "Package: a-tool\nVersion: 2\nMulti-Arch: foreign\n" }, {});
    const members: TarMember[] = [];
    for (const [name, bytes] of Object.entries({ lib, tool }))
      members.push(...database.add(await readDeb(bytes, name)));
    members.push(...database.finish());
    return new Map(
      members.map(({ path, data }) => [path.replace("var/lib/dpkg/", ""), String(Buffer.from(data ?? ""))]),
    );
  }

  it("has every package as unpacked, with the hashes of its settings", async () => {
    const files = await layOut();
    const hash = createHash("md5").update("setting").digest("hex");
    expect(files.get("status")).toBe(
      "Package: a-tool\nStatus: install ok unpacked\nVersion: 2\nMulti-Arch: foreign\n\n" +
        `${control.replace("\n", "\nStatus: install ok unpacked\n")}Conffiles:\n /etc/lib.conf ${hash}\n`,
    );
  });

  it("lists each package's files and keeps its scripts, under the names that dpkg looks for", async () => {
    const files = await layOut();
    expect(files.get("info/lib:amd64.list")).toBe("/.\n/etc\n/etc/lib.conf\n/usr/lib/l\n");
    expect(files.get("info/lib:amd64.postinst")).toBe("#!/bin/sh\n");
    expect(files.get("info/a-tool.list")).toBe("/.\n");
    expect(files.has("info/lib:amd64.control")).toBe(false);
    expect(files.get("info/format")).toBe("1\n");
  });

  it("knows who waits for which trigger", async () => {
    const files = await layOut();
    expect(files.get("triggers/File")).toBe("/usr/share/x lib:amd64/noawait\n");
    expect(files.get("triggers/ldconfig")).toBe("lib:amd64\n");
    expect(files.has("triggers/other")).toBe(false);
  });

  it.each(["Package: ../evil\n", "Version: 1\n", "Package: A B\n"])(
    "takes no package called %j",
    async (text) => {
      const deb = await readDeb(await makeDeb({ control: text }, {}), "x");
      expect(() => openDpkgDatabase().add(deb)).toThrow(ImageError);
    },
  );
});

describe("the files that no package brings", () => {
  const sourcesFor = (security: string | null) =>
    String(
      debianFiles({ archive: "http://m.example/debian", security }).find(({ path }) =>
        path.endsWith(".sources"),
      )?.data,
    );

  it("point APT at the mirror that the image was made from", () => {
    expect(sourcesFor(null)).toContain("URIs: http://m.example/debian\nSuites: trixie trixie-updates\n");
    expect(sourcesFor(null)).not.toContain("security");
    expect(sourcesFor("http://s.example/debian-security")).toContain("Suites: trixie-security\n");
  });
});

describe("a recipe's digest", () => {
  it("is the same each time, and another one for each image", async () => {
    expect(await recipeDigest("tiny")).toBe(await recipeDigest("tiny"));
    expect(await recipeDigest("tiny")).not.toBe(await recipeDigest("debian"));
  });
});

describe("InRelease", () => {
  let privateKey = "";
  let publicKey = "";
  beforeAll(async () => {
    const pair = await generateKey({
      userIDs: [{ name: "archive" }],
      type: "ecc",
      curve: "ed25519Legacy",
      format: "armored",
    });
    ({ privateKey, publicKey } = pair);
  });

  const text = (codename = "trixie") =>
    `Codename: ${codename}\nAcquire-By-Hash: yes\nSHA256:\n ${sha256("x")} 12 main/binary-amd64/Packages.xz\n nonsense\n`;

  async function signed(content: string): Promise<string> {
    const message = await createCleartextMessage({ text: content });
    return await sign({ message, signingKeys: await readPrivateKey({ armoredKey: privateKey }) });
  }

  it("gives the hashes of the files once its signature is verified", async () => {
    const release = await verifyRelease(await signed(text()), "trixie", [publicKey], "here");
    expect(release.byHash).toBe(true);
    expect([...release.files]).toEqual([
      ["main/binary-amd64/Packages.xz", { sha256: sha256("x"), sizeBytes: 12 }],
    ]);
  });

  it("is refused where a byte was changed", async () => {
    const changed = (await signed(text())).replace(" 12 main", " 13 main");
    await expect(verifyRelease(changed, "trixie", [publicKey], "here")).rejects.toThrow(
      /not signed by Debian's archive keys/,
    );
  });

  it("is refused where it is signed by somebody else, or by nobody", async () => {
    await expect(
      verifyRelease(await signed(text()), "trixie", await readArchiveKeys(), "here"),
    ).rejects.toThrow(ImageError);
    await expect(verifyRelease(text(), "trixie", [publicKey], "here")).rejects.toThrow(ImageError);
    await expect(verifyRelease("", "trixie", [publicKey], "here")).rejects.toThrow(ImageError);
  });

  it("counts only for what the signature covers: text around it is not read", async () => {
    const evil = `Codename: trixie\nSHA256:\n ${sha256("evil")} 1 evil\n`;
    const { files } = await verifyRelease(
      `${evil}${await signed(text())}\n${evil}`,
      "trixie",
      [publicKey],
      "here",
    );
    expect([...files.keys()]).toEqual(["main/binary-amd64/Packages.xz"]);
  });

  it("is refused where it is another release's", async () => {
    const other = await signed(text("bookworm"));
    await expect(verifyRelease(other, "trixie", [publicKey], "here")).rejects.toThrow(
      'here is signed for the release "bookworm"',
    );
  });

  it("survives random damage: refused, by an error of ours", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const whole = Buffer.from(await signed(text()));
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(whole);
      bytes[random(bytes.length)] = 32 + random(90);
      await verifyRelease(bytes.toString(), "trixie", [publicKey], "here").then(
        // A change that the form doesn't count, such as white space at a line's end, may pass.
        ({ files }) => expect([...files.keys()]).toEqual(["main/binary-amd64/Packages.xz"]),
        (error: unknown) => expect(error, `TEST_SEED=${seed}, round ${round}`).toBeInstanceOf(ImageError),
      );
    }
  });
});

describe("Debian's archive keys", () => {
  it("are the three of this release, and can sign", async () => {
    const { readKeys } = await import("openpgp");
    const keys = (
      await Promise.all((await readArchiveKeys()).map((armoredKeys) => readKeys({ armoredKeys })))
    ).flat();
    expect(keys.map((key) => key.getFingerprint()).sort()).toEqual([
      "04b54c3cdca79751b16bc6b5225629df75b188bd",
      "41587f7db8c774bccf131416762f67a0b2c39de4",
      "5e04a1e3223a19a20706e20f9904613d4cce68c6",
    ]);
  });
});
