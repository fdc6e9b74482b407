import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as errors from "../../src/errors.ts";
import * as exceptions from "../../src/exceptions.ts";
import { findRegistryHosts, hostsOf } from "../setup/registry-hosts.ts";
import { REPOSITORY, readSources } from "../setup/sources.ts";

const files = readSources();
const manifest = JSON.parse(textOf("package.json"));

function textOf(path: string): string {
  return readFileSync(join(REPOSITORY, path), "utf8");
}

describe("what is published", () => {
  it("is licensed as the package says", () => {
    expect(manifest.license).toBe("Apache-2.0");
    expect(textOf("LICENSE")).toMatch(/Apache License\s+Version 2\.0, January 2004/);
  });

  it("smolvm/exceptions has every error class", () => {
    expect(Object.keys(exceptions).sort()).toEqual(Object.keys(errors).sort());
  });

  it("the lockfile knows the packages of every platform: `npm ci` refuses it otherwise", () => {
    const { packages } = JSON.parse(textOf("package-lock.json"));
    const wanted = Object.values<{ optionalDependencies?: object }>(packages).flatMap((entry) =>
      Object.keys(entry.optionalDependencies ?? {}),
    );
    const paths = Object.keys(packages);
    expect(wanted.length).toBeGreaterThan(20);
    expect(wanted.filter((name) => !paths.some((path) => path.endsWith(`node_modules/${name}`)))).toEqual([]);
  });

  it("takes ordinary dependencies only: none needs its install script to have run", () => {
    const { packages } = JSON.parse(textOf("package-lock.json"));
    const needing = Object.entries<{ hasInstallScript?: boolean; optional?: boolean; dev?: boolean }>(
      packages,
    )
      .filter(([, { hasInstallScript, optional, dev }]) => hasInstallScript && !optional && !dev)
      .map(([path]) => path);
    // ssh2's script compiles an optional part; ssh2 works without it, and .npmrc runs no scripts.
    expect(needing).toEqual(["node_modules/ssh2"]);
    expect(textOf(".npmrc")).toContain("ignore-scripts=true");
  });
});

describe("no file names a host that packages come from", () => {
  it("of this computer", () => {
    const hosts = findRegistryHosts();
    const naming = files.flatMap(({ path, text }) =>
      hosts.filter((host) => text.includes(host)).map(() => path),
    );
    expect(naming).toEqual([]);
  });

  it("hosts are found in APT's formats and npm's", () => {
    const text =
      "deb [signed-by=/k] http://user:word@mirror.example:8080/debian trixie main\nURIs: https://other.example/debian\n";
    expect(hostsOf(text)).toEqual(["mirror.example", "other.example"]);
    expect(hostsOf("https://ftp.debian.org/debian http://127.0.0.1:4873/ http://localhost/")).toEqual([]);
  });
});

describe("the repository", () => {
  it("has a .ci/run that can be run", () => {
    expect(textOf(".ci/run")).toMatch(/^#!\/usr\/bin\/env bash\n/);
    expect(statSync(join(REPOSITORY, ".ci/run")).mode & 0o111).not.toBe(0);
  });

  it("has every script that package.json names", () => {
    const scripts = Object.values<string>(manifest.scripts).flatMap(
      (line) => line.match(/scripts\/\S+\.mjs/g) ?? [],
    );
    expect(scripts.filter((path) => !exists(path))).toEqual([]);
  });

  it("holds nothing big", () => {
    const big = files.filter(({ path }) => statSync(join(REPOSITORY, path)).size > 1024 * 1024);
    expect(big.map(({ path }) => path)).toEqual([]);
  });
});

function exists(path: string): boolean {
  return statSync(join(REPOSITORY, path), { throwIfNoEntry: false }) !== undefined;
}
