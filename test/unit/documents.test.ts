import { statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { USAGE } from "../../bench/arguments.ts";
import { SECTIONS } from "../../bench/sections.ts";
import { REPOSITORY, readSources, withoutComments } from "../setup/sources.ts";
import { codeOf, linksOf, PAGES, pageOf, sectionsOf, spansOf, tablesOf } from "../support/documents.ts";

const files = readSources();
const textOf = (path: string) => files.find((file) => file.path === path)?.text ?? "";
const scripts: object = JSON.parse(textOf("package.json")).scripts;

describe("docs/errors.md", () => {
  const rows = tablesOf(pageOf("docs/errors.md"))
    .filter(({ header }) => header[0] === "class")
    .flatMap((table) => table.rows)
    .flatMap(([className = "", codes = ""]) =>
      spansOf(codes).map((code) => ({ className: spansOf(className)[0] ?? "", code })),
    );

  it("has every class with its code, and no other", () => {
    const classes = [
      ...textOf("src/errors.ts").matchAll(/export class (\w+) extends SmolVMError\b.*?super\(\s*"(\w+)"/gs),
    ];
    const there = classes.map(([, className = "", code = ""]) => `${className} ${code}`);
    expect(there.length).toBe((textOf("src/errors.ts").match(/ extends SmolVMError\b/g) ?? []).length);
    const named = rows.filter(({ className }) => className !== "SmolVMError");
    expect(named.map(({ className, code }) => `${className} ${code}`).sort()).toEqual(there.sort());
  });

  it("has every code of a plain SmolVMError, and no other", () => {
    // What doctor() throws is told as the detail of a check: nobody sees its code.
    const sources = readSources("src", [".ts"]).filter(({ path }) => path !== "src/sandbox/upkeep/doctor.ts");
    const codes = sources.flatMap(({ path, text }) => (path === "src/errors.ts" ? [] : codesIn(text)));
    const ofClasses = new Set(
      rows.flatMap(({ className, code }) => (className === "SmolVMError" ? [] : code)),
    );
    const named = rows.flatMap(({ className, code }) => (className === "SmolVMError" ? code : []));
    expect(named.sort()).toEqual([...new Set(codes)].filter((code) => !ofClasses.has(code)).sort());
  });

  it("and the other pages name no error class that is not exported", () => {
    const known = new Set(
      [...textOf("src/errors.ts").matchAll(/export class (\w+)/g)].map(([, name]) => name),
    );
    const wrong = PAGES.flatMap(({ path, text }) =>
      (text.match(/\b[A-Z]\w*Error\b/g) ?? [])
        .filter((name) => !known.has(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

/** Of errors that are made there, of classes that it makes of SmolVMError, and of errors that it writes down. */
function codesIn(text: string): string[] {
  const code = withoutComments(text);
  const made = code.matchAll(
    /new (?:\w+\.)?SmolVMError\(([^,]*),|\bsuper\(([^,)]*),|name: "SmolVMError", code: ("\w+")/g,
  );
  return [...made].flatMap((match) => match[0].match(/(?<=")[A-Z][A-Z_]+(?=")/g) ?? []);
}

describe("a link between pages", () => {
  it.each(PAGES.concat(readSources(".", ["CHANGELOG.md"])))("leads somewhere in $path", ({ path, text }) => {
    const broken = linksOf(text).filter(({ file, anchor }) => {
      const target = file === "" ? path : normalize(join(dirname(path), file));
      if (!exists(target)) return true;
      return anchor !== undefined && !sectionsOf(textOf(target)).some((section) => section.anchor === anchor);
    });
    expect(broken).toEqual([]);
  });

  it("is there from the index of docs/ to every page", () => {
    const linked = linksOf(pageOf("docs/README.md")).map(({ file }) => `docs/${file}`);
    const pages = files.map(({ path }) => path).filter((path) => /^docs\/.+\.md$/.test(path));
    expect([...linked, "docs/README.md"].sort()).toEqual(pages.sort());
  });
});

describe("examples", () => {
  const names = (ending: string) =>
    files
      .filter(({ path }) => path.startsWith("examples/") && path.endsWith(ending))
      .map(({ path }) => path.slice("examples/".length, -ending.length))
      .sort();

  it("have their expected output, and are listed in docs/examples.md", () => {
    expect(names(".ts").length).toBeGreaterThan(10);
    expect(names(".out")).toEqual(names(".ts"));
    const listed = tablesOf(pageOf("docs/examples.md")).flatMap(({ rows }) =>
      rows.flatMap((row) => linksOf(row[1] ?? "")),
    );
    expect(listed.map(({ file }) => file).sort()).toEqual(
      names(".ts").map((name) => `../examples/${name}.ts`),
    );
  });

  it("that a page names are there", () => {
    const wrong = PAGES.flatMap(({ path, text }) =>
      [...text.matchAll(/\bexamples\/([\w-]+)\.ts|npm run example ([a-z][\w-]*)/g)]
        .map((match) => match[1] ?? match[2] ?? "")
        .filter((name) => !names(".ts").includes(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it("the README shows the first one as it is", () => {
    expect(pageOf("README.md")).toContain(textOf("examples/hello.ts"));
  });

  it("docs/commands.md quotes them as they are", () => {
    const lines = (text: string) => `\n${text.trim().replaceAll(/\n[ \t]+/g, "\n")}\n`;
    const programs = names(".ts").map((name) => lines(textOf(`examples/${name}.ts`)));
    const quotes = [...pageOf("docs/commands.md").matchAll(/```ts\n(.*?)```/gs)].map(
      ([, code]) => code ?? "",
    );
    expect(quotes.length).toBeGreaterThan(10);
    expect(quotes.filter((quote) => !programs.some((program) => program.includes(lines(quote))))).toEqual([]);
  });
});

describe("docs/benchmarks.md", () => {
  const page = pageOf("docs/benchmarks.md");

  it("has every section of the bench, and no other", () => {
    const [table] = tablesOf(page).filter(({ header }) => header[0] === "section");
    const named = table?.rows.flatMap(([name = ""]) => spansOf(name));
    expect(named).toEqual(SECTIONS.map(({ name }) => name));
  });

  it("has every option of the bench, and no other", () => {
    const flags = (text: string) => [...new Set(text.match(/(?<=[ [])--[a-z]+/g))].sort();
    const lines = codeOf(page).filter((code) => code.startsWith("npm run bench -- "));
    expect(flags(lines.join("\n"))).toEqual(flags(USAGE));
  });
});

describe("what a page names", () => {
  const named = (pattern: RegExp) =>
    PAGES.flatMap(({ path, text }) =>
      codeOf(text).flatMap((code) => (code.match(pattern) ?? []).map((name) => ({ path, name }))),
    );

  it("as a script of npm is one", () => {
    const found = named(/(?<=npm run )[a-z][\w-]*/g);
    expect(found.length).toBeGreaterThan(10);
    expect(found.filter(({ name }) => !(name in scripts))).toEqual([]);
  });

  it("as a file or a folder of this repository is there", () => {
    const found = named(/(?<![\w/.<>~-])(?:src|test|scripts|bench|docs|examples)\/[\w./-]*\w/g);
    expect(found.length).toBeGreaterThan(10);
    // What a bench leaves behind is not committed.
    const left = ["bench/results"];
    expect(found.filter(({ name }) => !exists(name) && !left.includes(name))).toEqual([]);
  });

  it("as a folder of src/ in CONTRIBUTING.md is there, and all are named", () => {
    const [layers] = tablesOf(pageOf("CONTRIBUTING.md")).filter(({ header }) => header[0] === "folder");
    const folders = layers?.rows.flatMap(([names = ""]) => spansOf(names)) ?? [];
    const there = files.flatMap(({ path }) => /^src\/([^/]+(?:\/|$))/.exec(path)?.[1] ?? []);
    const door = "exceptions.ts"; // to errors.ts
    expect(folders.sort()).toEqual([...new Set(there)].filter((name) => name !== door).sort());
  });

  it("as an environment variable is read by something", () => {
    const programs = files.filter(
      ({ path }) => /^(src|scripts|bench|test)\//.test(path) && !path.includes("documents"),
    );
    const unread = named(/\bSMOLVM_[A-Z_]+/g).filter(
      ({ name }) => !programs.some(({ text }) => text.includes(name)),
    );
    expect(unread).toEqual([]);
  });
});

function exists(path: string): boolean {
  return statSync(join(REPOSITORY, path), { throwIfNoEntry: false }) !== undefined;
}
