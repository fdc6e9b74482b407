import { describe, expect, it } from "vitest";
import { ImageError } from "../../../src/errors.ts";
import { formatDependency, parseDependencies, satisfies } from "../../../src/image/dependency.ts";
import { indexPackages } from "../../../src/image/packages.ts";
import { resolvePackages } from "../../../src/image/resolve.ts";
import { parseDeb822 } from "../../../src/util/deb822.ts";
import { compareVersions } from "../../../src/util/debian-version.ts";
import { chooseSeed, type Random, seededRandom } from "../../support/random.ts";

describe("versions are ordered as dpkg orders them", () => {
  it.each([
    ["1.0", "<", "1.1"],
    ["1.9", "<", "1.10"],
    ["1.0", "=", "1.00"],
    ["1.0~rc1", "<", "1.0"],
    ["1.0~~", "<", "1.0~"],
    ["1.0~", "<", "1.0"],
    ["1.0", "<", "1.0a"],
    ["1.0a", "<", "1.0+"],
    ["1.0a", ">", "1.0-1"],
    ["1.0-1", "<", "1.0-1+b1"],
    ["1.0-1~deb13u1", "<", "1.0-1"],
    ["1.0-1", "<", "1.0-1+deb13u1"],
    ["2:1.0", ">", "1:9.9"],
    ["1:1.0", ">", "9.9"],
    ["0:1.0", "=", "1.0"],
    ["1.0", "=", "1.0-0"],
    ["1.0-1-1", ">", "1.0-1"],
    ["1:1.3.dfsg+really1.3.1-1+b1", ">", "1:1.3.dfsg-1"],
    ["6.12.9", "<", "6.12.10"],
    ["2.41-12+deb13u9", "<", "2.41-12+deb13u10"],
    ["", "<", "1"],
    ["20250419", ">", "2025.1"],
  ])("%s %s %s", (a, relation, b) => {
    const sign = Math.sign(compareVersions(a, b));
    expect(sign).toBe({ "<": -1, "=": 0, ">": 1 }[relation]);
    expect(Math.sign(compareVersions(b, a)) + sign).toBe(0);
  });

  it("the order is total: random versions can be sorted, whatever they are", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 500; round++) {
      const [a, b, c] = [randomVersion(random), randomVersion(random), randomVersion(random)];
      const context = `TEST_SEED=${seed}: ${a} ${b} ${c}`;
      expect(compareVersions(a, a), context).toBe(0);
      expect(Math.sign(compareVersions(a, b)), context).toBe(-Math.sign(compareVersions(b, a)) + 0);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
        expect(compareVersions(a, c), context).toBeLessThanOrEqual(0);
      }
    }
  });
});

function randomVersion(random: Random): string {
  const alphabet = "0019a~+-.:b";
  return Array.from({ length: random(8) }, () => alphabet[random(alphabet.length)]).join("");
}

describe("Debian's control format", () => {
  it("has paragraphs, continuation lines, comments and names in any case", () => {
    const text = "# comment\nA: 1\nB:  two \n three\n# inside\n\tfour\n\n\n\nc-d: x:y\nnonsense\n";
    expect(parseDeb822(text).map((paragraph) => Object.fromEntries(paragraph))).toEqual([
      { a: "1", b: "two\nthree\nfour" },
      { "c-d": "x:y" },
    ]);
  });

  it("never throws on random text", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const pieces = ["\n", " ", "a", ":", "#", "\t", "Name: x", "\r", "é", "\0"];
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: random(30) }, () => pieces[random(pieces.length)]).join("");
      expect(() => parseDeb822(text), `TEST_SEED=${seed}: ${JSON.stringify(text)}`).not.toThrow();
    }
  });
});

describe("dependencies", () => {
  it("are read with alternatives, versions and architecture qualifiers", () => {
    const [first, second, third] = parseDependencies("libc6 (>= 2.38), a:any | b ( << 3~) ,c(=1:2-3)");
    expect(first).toEqual([{ name: "libc6", version: { relation: ">=", version: "2.38" } }]);
    expect(second?.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(third).toEqual([{ name: "c", version: { relation: "=", version: "1:2-3" } }]);
    expect(parseDependencies("")).toEqual([]);
    expect(formatDependency(second ?? [])).toBe("a | b (<< 3~)");
  });

  it.each(["a (>= )", "a (1.0)", "A B", "a (>= 1", "-a", "|"])(
    "are refused where they can't be read: %s",
    (text) => {
      expect(() => parseDependencies(text)).toThrow(RangeError);
    },
  );

  it.each([
    ["<<", "0.9", true],
    ["<<", "1.0", false],
    ["<=", "1.0", true],
    ["<=", "1.1", false],
    ["=", "1.00", true],
    ["=", "1.0-1", false],
    [">=", "1.0", true],
    [">=", "1.0~", false],
    [">>", "1.0", false],
    [">>", "1.0a", true],
    ["<", "1.0", true],
    [">", "1.0", true],
  ])("%s 1.0 is met by %s: %s", (relation, version, met) => {
    const [[requirement] = []] = parseDependencies(`a (${relation} 1.0)`);
    expect(requirement && satisfies(version, requirement)).toBe(met);
  });
});

describe("resolving", () => {
  it("takes all that is needed, once, sorted by name", () => {
    const index = archive(
      { name: "app", depends: "lib (>= 1), data" },
      { name: "lib", depends: "base" },
      { name: "data", preDepends: "base" },
      { name: "base" },
      { name: "other" },
    );
    expect(namesOf(resolvePackages(index, ["app"]))).toEqual(["app", "base", "data", "lib"]);
  });

  it("goes in circles only once", () => {
    const index = archive({ name: "a", depends: "b" }, { name: "b", depends: "a" });
    expect(namesOf(resolvePackages(index, ["a"]))).toEqual(["a", "b"]);
  });

  it("takes the first alternative that can be had, or the one that is there already", () => {
    const index = archive({ name: "app", depends: "gone | mawk | gawk" }, { name: "mawk" }, { name: "gawk" });
    expect(namesOf(resolvePackages(index, ["app"]))).toEqual(["app", "mawk"]);
    expect(namesOf(resolvePackages(index, ["app", "gawk"]))).toEqual(["app", "gawk"]);
  });

  it("takes a provider where there is no package of that name, and never one without a version for a versioned wish", () => {
    const index = archive(
      { name: "app", depends: "awk" },
      { name: "strict", depends: "awk (>= 2)" },
      { name: "mawk", provides: "awk" },
      { name: "gawk", provides: "awk (= 3), other" },
    );
    expect(namesOf(resolvePackages(index, ["app"]))).toEqual(["app", "gawk"]);
    expect(namesOf(resolvePackages(index, ["app", "mawk"]))).toEqual(["app", "mawk"]);
    expect(namesOf(resolvePackages(index, ["strict", "mawk"]))).toEqual(["gawk", "mawk", "strict"]);
  });

  it("takes the newest of several versions", () => {
    const index = archive(
      { name: "app", depends: "lib" },
      { name: "lib", version: "1.9" },
      { name: "lib", version: "1.10" },
    );
    expect(resolvePackages(index, ["app"])[1]?.version).toBe("1.10");
  });

  it("passes over an alternative that conflicts with what is chosen", () => {
    const index = archive(
      { name: "app", depends: "x | y" },
      { name: "base", conflicts: "x" },
      { name: "x" },
      { name: "y" },
    );
    expect(namesOf(resolvePackages(index, ["base", "app"]))).toEqual(["app", "base", "y"]);
  });

  it("allows a package to conflict with what it provides itself", () => {
    const index = archive({ name: "mta", provides: "mail", conflicts: "mail" });
    expect(namesOf(resolvePackages(index, ["mta"]))).toEqual(["mta"]);
  });

  it("names what can't be satisfied, and who wants it", () => {
    const index = archive(
      { name: "app", version: "2.1", depends: "lib (>= 3) | other" },
      { name: "lib", version: "2" },
    );
    expect(() => resolvePackages(index, ["app"])).toThrow(
      "app 2.1 needs lib (>= 3) | other, which the archive doesn't have.",
    );
    expect(() => resolvePackages(index, ["nope"])).toThrow("The archive has no package nope.");
    const conflict = archive({ name: "a", conflicts: "b (<< 2)" }, { name: "b", version: "1" });
    expect(() => resolvePackages(conflict, ["a", "b"])).toThrow(
      "The packages a 1.0 and b 1 exclude each other.",
    );
  });
});

describe("the index of packages", () => {
  it("lists packages by priority, from paragraphs it has not parsed", () => {
    const index = archive(
      { name: "b", priority: "required" },
      { name: "a", priority: "required" },
      { name: "c" },
    );
    expect(index.withPriority("required")).toEqual(["a", "b"]);
    expect(index.find("c")).toMatchObject({
      name: "c",
      version: "1.0",
      sizeBytes: 1,
      filename: "pool/c.deb",
    });
  });

  it.each([
    ["a path that leads out of the mirror", "Filename: ../../etc/passwd"],
    ["an absolute path", "Filename: /etc/passwd"],
    ["a hash that is none", "SHA256: 123"],
    ["a size that is none", "Size: -1"],
    ["a dependency that can't be read", "Depends: ((("],
  ])("refuses, by name, an entry with %s", (_, line) => {
    const field = line.split(":")[0] ?? "";
    const text = entry({ name: "bad" }).replace(new RegExp(`^${field}:.*\n`, "m"), "");
    const index = indexPackages(`${text}${line}\n`);
    expect(() => index.find("bad")).toThrow(/entry for bad can't be read/);
    expect(() => index.find("bad")).toThrow(ImageError);
  });

  it("survives random damage: an entry is read or refused", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const text = [entry({ name: "a", depends: "b" }), entry({ name: "b", provides: "c (= 1)" })].join("\n");
    for (let round = 0; round < 500; round++) {
      const bytes = Buffer.from(text);
      for (let flips = random(5); flips >= 0; flips--) bytes[random(bytes.length)] = random(128);
      const attempt = () => namesOf(resolvePackages(indexPackages(bytes.toString("latin1")), ["a", "b"]));
      try {
        expect(attempt()).toBeInstanceOf(Array);
      } catch (error) {
        expect(error, `TEST_SEED=${seed}, round ${round}`).toBeInstanceOf(ImageError);
      }
    }
  });
});

interface Entry {
  name: string;
  version?: string;
  depends?: string;
  preDepends?: string;
  conflicts?: string;
  provides?: string;
  priority?: string;
}

function archive(...entries: Entry[]) {
  return indexPackages(entries.map(entry).join("\n"));
}

function entry({
  name,
  version = "1.0",
  depends,
  preDepends,
  conflicts,
  provides,
  priority = "optional",
}: Entry): string {
  const optional = Object.entries({
    Depends: depends,
    "Pre-Depends": preDepends,
    Conflicts: conflicts,
    Provides: provides,
  });
  const lines = optional
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${value}\n`);
  return `Package: ${name}\nVersion: ${version}\nPriority: ${priority}\n${lines.join("")}Filename: pool/${name}.deb\nSize: 1\nSHA256: ${"0".repeat(64)}\n`;
}

function namesOf(packages: readonly { name: string }[]): string[] {
  return packages.map(({ name }) => name);
}
