import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { importsOf, readSources } from "../setup/sources.ts";

const sources = readSources("src", [".ts"]);
const imports = sources.flatMap((file) => importsOf(file).map((target) => ({ from: file.path, target })));

type Room = readonly [room: string, what: string];

/** From the top to the bottom: a room imports rooms below it only. "." are the files of the folder itself. */
const SANDBOX: readonly Room[] = [
  [".", "the public classes, and how a handle is chosen"],
  ["holder", "the process that holds a machine"],
  ["remote", "every other process, which asks the holder"],
  ["lifecycle", "start, stop, pause, time limits; which way a start goes"],
  ["upkeep", "what is left over, what there is, what is wrong"],
  ["template", "machines that are cloned from one that was saved before"],
  ["snapshot", "machines that were saved, and what is made from them"],
  ["watch", "what users see of a machine: its console, its status"],
  ["command", "what users do in a machine"],
  ["boot", "what every start needs, and the start from nothing"],
  ["machine", "what is known of one machine; imports no other room"],
];
const SSH: readonly Room[] = [
  ["openssh", "what OpenSSH's own clients need"],
  ["command", "one command from its beginning to its result, and who runs it"],
  ["parked", "a shell that a machine was saved with"],
  ["worker", "the shells in the guest that take commands, and the one that ends them"],
  ["protocol", "what is said to the guest's scripts and by them"],
  ["transport", "connections and channels"],
  ["spec", "what a command is; imports no other room"],
];

const MOST_FILES = 20;
/** Folders that had more than that when this test was made. A number may only shrink. */
const MORE_FILES: Readonly<Record<string, number>> = {
  "src/util": 26,
  "src/guest": 27,
  "src/host": 29,
  "src/image": 31,
  "src/qemu": 34,
};

/** Undefined where it is none of that folder's files. */
function roomOf(folder: string, path: string): string | undefined {
  const [top, layer, ...rest] = path.split("/");
  return `${top}/${layer}` === folder ? rest.slice(0, -1).join("/") || "." : undefined;
}

/** Each round takes away the files that import none of those left, or that none of those left imports. */
function circlesAmong(
  files: readonly { readonly path: string; readonly targets: readonly string[] }[],
): string[] {
  let left = files;
  for (let size = -1; size !== left.length; ) {
    size = left.length;
    const paths = new Set(left.map(({ path }) => path));
    const imported = new Set(left.flatMap(({ targets }) => targets));
    left = left.filter(
      ({ path, targets }) => imported.has(path) && targets.some((target) => paths.has(target)),
    );
  }
  return left.map(({ path }) => path).sort();
}

describe("files", () => {
  it("never import each other in a circle, not even a type", () => {
    const files = sources.map((file) => ({ path: file.path, targets: importsOf(file) }));
    expect(circlesAmong(files)).toEqual([]);
  });

  it(`are at most ${MOST_FILES} in a folder`, () => {
    const counts: Record<string, number> = {};
    for (const { path } of readSources("src")) counts[dirname(path)] = (counts[dirname(path)] ?? 0) + 1;
    const full = Object.entries(counts).filter(([, count]) => count > MOST_FILES);
    expect(Object.fromEntries(full)).toEqual(MORE_FILES);
  });
});

describe.each([
  ["src/sandbox", SANDBOX],
  ["src/ssh", SSH],
])("the rooms of %s", (folder, rooms) => {
  const order = rooms.map(([room]) => room);

  it("are those of the table", () => {
    const found = new Set(sources.map(({ path }) => roomOf(folder, path)));
    found.delete(undefined);
    expect([...found].sort()).toEqual([...order].sort());
  });

  it("import rooms below them only", () => {
    const upward = imports.filter(({ from, target }) => {
      const [room, other] = [roomOf(folder, from), roomOf(folder, target)];
      return room !== undefined && other !== undefined && order.indexOf(other) < order.indexOf(room);
    });
    expect(upward).toEqual([]);
  });
});
