import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { findDebianSources } from "../../../src/image/apt-sources.ts";
import { findMirror } from "../../../src/image/mirror.ts";

const DEB822 = `Types: deb
# a comment inside
URIs: http://mirror.example/debian/
 http://second.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`;

const sources = (text: string) => findDebianSources([{ name: "debian.sources", text }]);
const list = (text: string) => findDebianSources([{ name: "sources.list", text }]);

describe("the host's APT sources", () => {
  it("in the newer form give the first Debian archive and the security archive", () => {
    expect(sources(DEB822)).toEqual({
      archive: "http://mirror.example/debian",
      security: "http://mirror.example/debian-security",
    });
  });

  it("in the older form as well, with options and comments", () => {
    const text = `# deb http://commented.example/debian trixie main
deb-src http://src.example/debian trixie main
deb [arch=amd64 signed-by=/k.gpg] https://a.example/debian trixie main non-free # note
deb http://a.example/debian-security trixie-security main\n`;
    expect(list(text)).toEqual({
      archive: "https://a.example/debian",
      security: "http://a.example/debian-security",
    });
  });

  it.each([
    ["another distribution", "deb http://a.example/ubuntu noble main"],
    ["a third party's archive of that name", "deb https://a.example/linux/debian trixie stable"],
    ["a third party's suite", "deb https://a.example/debian trixie-pgdg main"],
    ["the sources of packages only", "deb-src https://a.example/debian trixie main"],
    ["a CD", "deb cdrom:[Debian]/debian trixie main"],
    ["a local folder", "deb file:///srv/debian trixie main"],
    ["an address with a password", "deb https://user:word@a.example/debian trixie main"],
    ["the security archive alone", "deb https://a.example/debian-security trixie-security main"],
    ["nonsense", "deb deb deb\ndeb\n[["],
  ])("are no Debian archive: %s", (_, text) => {
    expect(list(text).archive).toBeUndefined();
  });

  it("are passed over where they are switched off", () => {
    expect(sources(DEB822.replaceAll("Types: deb", "Types: deb\nEnabled: no"))).toEqual({});
  });
});

describe("the mirror", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "smolvm-apt-"));
    await mkdir(join(folder, "sources.list.d"));
    await writeFile(join(folder, "sources.list.d", "debian.sources"), DEB822);
    await writeFile(
      join(folder, "sources.list.d", "debian.sources.bak"),
      "deb http://old.example/debian trixie main",
    );
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("is the option's, before the environment's, before the host's own", async () => {
    const env = { SMOLVM_DEBIAN_MIRROR: "http://env.example/debian/" };
    expect((await findMirror({ mirror: "https://option.example/debian" }, env, folder)).archive).toBe(
      "https://option.example/debian",
    );
    expect((await findMirror({}, env, folder)).archive).toBe("http://env.example/debian");
    expect(await findMirror({}, {}, folder)).toEqual({
      archive: "http://mirror.example/debian",
      security: "http://mirror.example/debian-security",
    });
  });

  it("is the public one on a host without APT", async () => {
    expect(await findMirror({}, {}, join(folder, "none"))).toEqual({
      archive: "https://ftp.debian.org/debian",
      security: null,
    });
  });

  it("has the security archive that an option or the environment names", async () => {
    const options = { securityMirror: "https://s.example/debian-security" };
    expect((await findMirror(options, {}, folder)).security).toBe("https://s.example/debian-security");
    const env = { SMOLVM_DEBIAN_SECURITY_MIRROR: "https://t.example/debian-security/" };
    expect((await findMirror({}, env, folder)).security).toBe("https://t.example/debian-security");
  });

  it.each(["ftp://a.example/debian", "a.example", "file:///x"])(
    "must be a web address: %s",
    async (mirror) => {
      await expect(findMirror({ mirror }, {}, folder)).rejects.toThrow(ValidationError);
      await expect(findMirror({}, { SMOLVM_DEBIAN_MIRROR: mirror }, folder)).rejects.toThrow(
        /SMOLVM_DEBIAN_MIRROR/,
      );
    },
  );
});
