import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CommandSpec } from "../../src/cli/command.ts";
import { isGroup } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands/table.ts";
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

describe("documentation", () => {
  it("the README shows the first example as it is", () => {
    expect(textOf("README.md")).toContain(textOf("examples/hello.ts"));
  });

  it("docs/commands.md quotes programs that are run", () => {
    const lines = (text: string) => `\n${text.trim().replaceAll(/\n[ \t]+/g, "\n")}\n`;
    const programs = files
      .filter(({ path }) => /^examples\/.*\.ts$/.test(path))
      .map(({ text }) => lines(text));
    const quotes = [...textOf("docs/commands.md").matchAll(/```ts\n(.*?)```/gs)].map(
      ([, code]) => code ?? "",
    );
    expect(quotes.length).toBeGreaterThan(10);
    expect(quotes.filter((quote) => !programs.some((program) => program.includes(lines(quote))))).toEqual([]);
  });

  it("every link between files leads somewhere", () => {
    const pages = files.filter(({ path }) => path.endsWith(".md"));
    const broken = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1] ?? "")
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => !exists(join(path, "..", target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it("the index of docs/ leads to every page", () => {
    const pages = files
      .map(({ path }) => /^docs\/(.+\.md)$/.exec(path)?.[1])
      .filter((page) => page && page !== "README.md");
    const index = textOf("docs/README.md");
    expect(pages.filter((page) => !index.includes(`(${page})`))).toEqual([]);
  });

  it("docs/cli.md names every command and every flag", async () => {
    const page = textOf("docs/cli.md");
    const missing: string[] = [];
    for (const [words, spec] of await allCommands()) {
      const flags = (spec.flags ?? []).map(({ flags }) => /--[a-z-]+/.exec(flags)?.[0] ?? flags);
      missing.push(...[`smolvm ${words}`, ...flags].filter((text) => !page.includes(text)));
    }
    expect(missing).toEqual([]);
  });

  it("every example has its expected output, and is listed in the docs", () => {
    const names = (ending: string) =>
      files
        .filter(({ path }) => path.startsWith("examples/") && path.endsWith(ending))
        .map(({ path }) => path.slice("examples/".length, -ending.length))
        .sort();
    expect(names(".ts").length).toBeGreaterThan(10);
    expect(names(".out")).toEqual(names(".ts"));
    const page = textOf("docs/examples.md");
    expect(names(".ts").filter((name) => !page.includes(`examples/${name}.ts`))).toEqual([]);
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

async function allCommands(): Promise<[words: string, spec: CommandSpec][]> {
  const found: [string, CommandSpec][] = [];
  for (const [name, { load }] of Object.entries(COMMANDS)) {
    const entry = await load();
    if (isGroup(entry))
      found.push(
        ...Object.entries(entry.commands).map(([child, spec]): [string, CommandSpec] => [
          `${name} ${child}`,
          spec,
        ]),
      );
    else found.push([name, entry]);
  }
  return found;
}
