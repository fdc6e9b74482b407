import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import * as api from "../../src/index.ts";
import { codeOf, DOCS, linksOf, pageOf, sectionOf, spansOf, tablesOf } from "../support/documents.ts";
import { readExports, readOptionLists, readOptionTypes } from "../support/option-lists.ts";

const PAGE = "docs/calls.md";
const lists = readOptionLists();
const machineOptions = lists.get("SmolVM") ?? [];
const calls = rowsBelow("call").map(([names = "", options = ""]) => ({
  names: spansOf(names).map((name) => name.replace(/\(.*/, "")),
  takesMore: /\(\w/.test(names),
  options: documentedOptions(options),
}));

function rowsBelow(heading: string): readonly (readonly string[])[] {
  return tablesOf(pageOf(PAGE))
    .filter(({ header }) => header[0] === heading)
    .flatMap(({ rows }) => rows);
}

/** Those that a cell names, and those of the table to which it leads. */
function documentedOptions(cell: string): string[] {
  const linked = linksOf(cell).flatMap(({ file, anchor = "" }) =>
    tablesOf(sectionOf(join(dirname(PAGE), file), anchor).text)
      .filter(({ header }) => header[0] === "option")
      .flatMap(({ rows }) => rows.flatMap(([names = ""]) => spansOf(names))),
  );
  return [...spansOf(cell.replaceAll(/\[[^\]]*\]\([^)]*\)/g, "")), ...linked].sort();
}

/** What `checkOptionKeys` calls it: `vm.stop` is `stop()`, and three ways to make a machine are one. */
function listOf(name: string): readonly string[] {
  if (["new SmolVM", "SmolVM.create", "SmolVM.use"].includes(name)) return machineOptions;
  if (name === "new SmolVMPool") return ["size", ...machineOptions];
  return lists.get(`${name.split(".").at(-1)}()`) ?? lists.get(name) ?? [];
}

describe("docs/calls.md", () => {
  it("has exactly the options that each call takes", () => {
    expect(machineOptions).toContain("persistent");
    for (const { names, options } of calls)
      for (const name of names) expect(options, name).toEqual([...listOf(name)].sort());
  });

  it("has every call that takes options", () => {
    const known = calls.flatMap(({ names }) => names.map((name) => name.split(".").at(-1)));
    const wanted = [...lists.keys()].map((name) => name.replace("()", ""));
    expect(wanted.filter((name) => !known.includes(name) && !known.includes(`new ${name}`))).toEqual([]);
    expect(lists.size).toBeGreaterThan(15);
  });

  it("names, for some call, every option that an exported type has", () => {
    const named = new Set(calls.flatMap(({ options }) => options));
    const types = readOptionTypes();
    expect(types.size).toBeGreaterThan(15);
    const missing = [...types].flatMap(([type, options]) =>
      options.filter((option) => !named.has(option)).map((option) => `${type}: ${option}`),
    );
    expect(missing).toEqual([]);
  });

  it("names the calls of SmolVM, of pools and of the module, and no other", () => {
    const methods = (prototype: object, prefix: string) =>
      Object.getOwnPropertyNames(prototype)
        .filter((name) => name !== "constructor")
        .map((name) => `${prefix}.${name}`);
    const statics = Object.getOwnPropertyNames(api.SmolVM)
      .filter((name) => !["length", "name", "prototype"].includes(name))
      .map((name) => `SmolVM.${name}`);
    const functions = Object.entries(api)
      .filter(([, value]) => typeof value === "function" && !/^class\b/.test(String(value)))
      .map(([name]) => name);
    const there = [
      ...["new SmolVM", "new SmolVMPool"],
      ...methods(api.SmolVM.prototype, "vm"),
      ...methods(api.SmolVMPool.prototype, "pool"),
      ...statics,
      ...functions,
    ];
    const named = calls.flatMap(({ names }) => names).filter((name) => !/^(run|shell)\./.test(name));
    const objects = [...lists.keys()].filter((name) => !name.endsWith("()") && name !== "SmolVM");
    expect(named.filter((name) => !objects.includes(name)).sort()).toEqual(there.sort());
  });

  it("has every type that is exported, and no other", () => {
    const isType = (name: string) => !(name in api);
    const named = rowsBelow("type").flatMap(([names = ""]) => spansOf(names));
    expect(named.sort()).toEqual(readExports().filter(isType).sort());
  });
});

describe("docs/", () => {
  it("mentions every export", () => {
    const words = new Set(
      DOCS.flatMap(({ text }) => codeOf(text)).flatMap((code) => code.match(/\w+/g) ?? []),
    );
    expect(readExports().length).toBeGreaterThan(50);
    expect(readExports().filter((name) => !words.has(name))).toEqual([]);
  });

  it("has no option in a table that no call takes", () => {
    const known = new Set([...[...lists.values()].flat(), "size"]);
    const wrong = DOCS.flatMap(({ path, text }) =>
      tablesOf(text)
        .filter(({ header }) => header[0] === "option")
        .flatMap(({ rows }) => rows.flatMap(([names = ""]) => spansOf(names)))
        .filter((name) => !name.startsWith("-") && !known.has(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it("gives no call an option that it does not take", () => {
    const wrong = DOCS.flatMap(({ path, text }) =>
      codeOf(text).flatMap((code) => optionsIn(code).map((wrong) => `${path}: ${wrong}`)),
    );
    expect(wrong).toEqual([]);
  });
});

/** The options in calls such as `vm.stop({ timeout })` that the call does not take. */
function optionsIn(code: string): string[] {
  return [...code.matchAll(/(new \w+|[\w.]+)\(([^(){}]*, )?\{ ([^{}]*) \}/g)].flatMap(
    ([, name = "", before, inside = ""]) => {
      const list = listOf(name);
      const method = name.split(".").at(-1);
      const call = calls.find(({ names }) => names.some((each) => each.split(".").at(-1) === method));
      if (list.length === 0 || (call?.takesMore && before === undefined)) return [];
      const keys = inside.split(/,\s*/).flatMap((part) => /^\w+/.exec(part)?.[0] ?? []);
      return keys.filter((key) => !list.includes(key)).map((key) => `${code}: ${key}`);
    },
  );
}
