import { describe, expect, it } from "vitest";
import { type CommandSpec, isGroup } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands/table.ts";
import { STATUS } from "../../src/cli/failure.ts";
import { codeOf, PAGES, pageOf, sectionOf, sectionsOf, spansOf, tablesOf } from "../support/documents.ts";

const PAGE = "docs/cli.md";
/** What the grammar adds to every command, and to `smolvm` itself. */
const EVERYWHERE = ["--json", "--help", "-h", "--version", "-V"];
/** What the host tells a guest on its console begins with "smolvm", too. */
const TOLD_TO_GUESTS = ["clock", "grace"];
const commands = await allCommands();

/** `image ls` and the like; of a group the usual command goes by the group's name, too. */
async function allCommands(): Promise<ReadonlyMap<string, Pick<CommandSpec, "flags" | "passThrough">>> {
  const found = new Map<string, Pick<CommandSpec, "flags" | "passThrough">>();
  for (const [name, { load }] of Object.entries(COMMANDS)) {
    const entry = await load();
    if (!isGroup(entry)) found.set(name, entry);
    else {
      for (const [child, spec] of Object.entries(entry.commands)) found.set(`${name} ${child}`, spec);
      const usual = entry.usual && entry.commands[entry.usual];
      if (usual) found.set(name, usual);
    }
  }
  return found;
}

/** Short ones and long ones, of those that take a value only if `valued`. */
function flagsOf({ flags = [] }: Pick<CommandSpec, "flags">, valued = false): string[] {
  return flags
    .filter(({ flags }) => !valued || flags.includes("<"))
    .flatMap(({ flags }) => flags.match(/(?<![\w-])--?[a-z][a-z-]*/g) ?? []);
}

/** The flags that a command line has before what belongs to the guest. */
function flagsIn(words: readonly string[], spec: Pick<CommandSpec, "flags" | "passThrough">): string[] {
  const valued = flagsOf(spec, true);
  const given: string[] = [];
  for (let index = 1; index < words.length; index += 1) {
    const flag = /^\[?(--?[a-z][a-z-]*)/.exec(words[index] ?? "")?.[1];
    if (flag) given.push(flag);
    else if (spec.passThrough && !valued.includes(words[index - 1] ?? "")) break;
  }
  return given;
}

/** The sections whose title is that of a command, with what stands below them in sections of their own. */
function sectionsFor(command: string): string[] {
  const title = new RegExp(`^smolvm (.*, )?(smolvm )?${command}(,|$)`);
  const all = sectionsOf(pageOf(PAGE));
  const own = all.filter((section) => title.test(section.title)).map(({ text }) => text);
  const [group = "", ...rest] = command.split(" ");
  return own.length > 0 || rest.length === 0 ? own : sectionsFor(group);
}

/** Commands that a page calls by `smolvm …`, up to what belongs to the guest. */
function callsIn(text: string): { readonly code: string; readonly words: readonly string[] }[] {
  return codeOf(text)
    .filter((code) => !code.includes("smolvm: "))
    .flatMap((code) =>
      [...code.matchAll(/(?<![\w./-])smolvm ((?:[^\s#;|&>`)]+ ?)+)/g)].map((match) => {
        const words = (match[1] ?? "").trim().split(" ");
        const end = words.indexOf("--");
        return { code, words: end === -1 ? words : words.slice(0, end) };
      }),
    );
}

describe("docs/cli.md", () => {
  it("has a section for every command, and for no other", () => {
    const named = sectionsOf(pageOf(PAGE))
      .filter(({ title }) => title.startsWith("smolvm "))
      .flatMap(({ title }) => title.replaceAll("smolvm ", "").split(", "));
    const groups = named.map((name) => name.split(" ")[0]);
    expect(Object.keys(COMMANDS).filter((name) => !groups.includes(name))).toEqual([]);
    expect(named.filter((name) => !commands.has(name))).toEqual([]);
    expect(commands.size).toBeGreaterThan(20);
  });

  it.each([...commands])("names %s and its flags where it tells of it", (name, spec) => {
    const own = sectionsFor(name).join("\n");
    // `exec` and `create` say that their options are those of `run`.
    const shared = /`?run`?'s options|\[`run`\]|`smolvm exec -it/.test(own)
      ? sectionsFor("run").join("\n")
      : "";
    const words = new Set(`${own}\n${shared}`.match(/(?<![\w-])--?[a-z][a-z-]*/g) ?? []);
    expect(flagsOf(spec).filter((flag) => !words.has(flag))).toEqual([]);
  });

  it("names each status that smolvm ends with by itself", () => {
    const statuses = tablesOf(sectionOf(PAGE, "exit-status").text).flatMap(
      ({ rows }) => rows.join(" ").match(/\d+/g) ?? [],
    );
    expect(
      Object.values(STATUS)
        .map(String)
        .filter((status) => !statuses.includes(status)),
    ).toEqual([]);
  });

  it("has the document of each command for --json, and of no other", () => {
    const [table] = tablesOf(sectionOf(PAGE, "json").text);
    const named = table?.rows.flatMap(([names = ""]) => spansOf(names)) ?? [];
    expect(named.filter((name) => !commands.has(name))).toEqual([]);
    const words = named.map((name) => name.split(" ")[0]);
    // A shell is for people: it excludes --json.
    expect(Object.keys(COMMANDS).filter((name) => name !== "shell" && !words.includes(name))).toEqual([]);
  });
});

describe("what is written as a command line", () => {
  it.each(PAGES)("in $path names commands and flags that there are", ({ text }) => {
    const wrong = callsIn(text).flatMap(({ code, words }) => {
      const [first = "", second = ""] = words;
      if (!/^[a-z]/.test(first)) return first === "COMMAND" || EVERYWHERE.includes(first) ? [] : [code];
      const spec = commands.get(`${first} ${second}`) ?? commands.get(first);
      if (!spec) return TOLD_TO_GUESTS.includes(first) ? [] : [code];
      const known = [...flagsOf(spec), ...EVERYWHERE];
      return flagsIn(words, spec)
        .filter((flag) => !known.includes(flag) && !isCluster(flag, known))
        .map((flag) => `${code}: ${flag}`);
    });
    expect(wrong).toEqual([]);
  });

  it("has no flag in docs/cli.md that no command has", () => {
    const known = new Set([...[...commands.values()].flatMap((spec) => flagsOf(spec)), ...EVERYWHERE]);
    const named = codeOf(pageOf(PAGE)).flatMap((code) => code.match(/(?<![\w-])--[a-z][a-z-]+/g) ?? []);
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((flag) => !known.has(flag))).toEqual([]);
  });
});

/** `-it` is `-i -t`. */
function isCluster(flag: string, known: readonly string[]): boolean {
  return /^-[a-z]{2,}$/.test(flag) && [...flag.slice(1)].every((letter) => known.includes(`-${letter}`));
}
