import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { imagePaths, machinePaths, statePaths } from "../../src/state/paths.ts";
import { importsOf, readSources, stringsOf, withoutComments } from "../setup/sources.ts";

const sources = readSources("src", [".ts"]);
const imports = sources.flatMap((file) => importsOf(file).map((target) => ({ from: file.path, target })));

/** What each layer may import besides its own files. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": [],
  "exceptions.ts": ["errors.ts"],
  util: ["errors.ts"],
  host: ["util", "errors.ts"],
  guest: ["host", "util", "errors.ts"],
  ssh: ["guest", "host", "util", "errors.ts"],
  image: ["guest", "host", "util", "errors.ts"],
  net: ["guest", "host", "util", "errors.ts"],
  state: ["guest", "host", "util", "errors.ts"],
  qemu: ["ssh", "image", "net", "state", "guest", "host", "util", "errors.ts"],
  sandbox: ["qemu", "ssh", "image", "net", "state", "guest", "host", "util", "errors.ts"],
  "index.ts": [
    "exceptions.ts",
    "sandbox",
    "qemu",
    "ssh",
    "image",
    "net",
    "state",
    "guest",
    "host",
    "util",
    "errors.ts",
  ],
  cli: ["index.ts", "util"],
  mcp: ["index.ts"],
  server: ["index.ts"],
};

/** The table of file names: it imports nothing of the project, and every layer above guest/ may read names from it. */
const NAMES = "src/state/paths.ts";
const READERS_OF_NAMES = ["ssh", "image", "net"];

/** Packages that one file hides from the rest, and that file where it is fixed. valibot decodes in many places. */
const BEHIND_ONE_FILE: Readonly<Record<string, string | null>> = {
  ssh2: "src/ssh/transport/ssh-connection.ts",
  commander: "src/cli/grammar.ts",
  openpgp: null,
  fzstd: null,
  "modern-tar": null,
  "xz-decompress": null,
  "fastest-levenshtein": null,
};

/** What opens what stands at a path, and waits for another process where that is a fifo. */
const OPENERS = [
  ...["open", "readFile", "writeFile", "appendFile", "copyFile", "createReadStream", "createWriteStream"],
  ...["openSync", "readFileSync", "writeFileSync", "appendFileSync", "copyFileSync"],
];
/** Which files use these all the same, and for what. Everything else is opened by host/read-file.ts. */
const OPENING: Readonly<Record<string, string>> = {
  "src/cli/commands/completion.ts": "a file of the package",
  "src/cli/io.ts": "a file of the package",
  "src/host/cgroup-limit.ts": "/proc and /sys",
  "src/host/find-tool.ts": "/etc",
  "src/host/local-socket.ts": "a folder, as a folder",
  "src/host/lock.ts": "a new file under a name of its own",
  "src/host/owned-processes.ts": "/proc",
  "src/host/copy-file.ts": "from what was seen to be a file, to a new one",
  "src/host/package-file.ts": "a file of the package",
  "src/host/place.ts": "/proc and /etc",
  "src/host/platform.ts": "/proc",
  "src/host/process-figures.ts": "/proc",
  "src/host/process-identity.ts": "/proc",
  "src/host/read-file.ts": "this is it",
  "src/host/whole-file.ts": "a new file under a name of its own, and folders",
  "src/image/assemble.ts": "a draft",
  "src/image/debian.ts": "a draft",
  "src/image/download.ts": "a name of its own, at which there is a file or nothing",
  "src/image/mirror.ts": "/etc",
  "src/qemu/accelerator.ts": "/dev",
  "src/qemu/disk.ts": "a new file",
  "src/qemu/socket-folder.ts": "a folder, as a folder",
  "src/qemu/state-receiver.ts": "a draft",
  "src/sandbox/template/clone.ts": "a new file",
  "src/sandbox/boot/seed.ts": "a new file",
};

function layerOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function importersOf(matches: (target: string) => boolean): string[] {
  return [...new Set(imports.filter(({ target }) => matches(target)).map(({ from }) => from))].sort();
}

describe("layers", () => {
  it("finds the sources and their imports", () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(imports.length).toBeGreaterThan(sources.length);
  });

  it("has a rule for every folder of src", () => {
    const unknown = sources.map(({ path }) => layerOf(path)).filter((layer) => !(layer in ALLOWED));
    expect([...new Set(unknown)]).toEqual([]);
  });

  it("imports go down only, and siblings never import each other", () => {
    const broken = imports.filter(({ from, target }) => {
      if (!target.startsWith("src/")) return false;
      const layer = layerOf(from);
      if (target === NAMES && READERS_OF_NAMES.includes(layer)) return false;
      return layerOf(target) !== layer && !ALLOWED[layer]?.includes(layerOf(target));
    });
    expect(broken).toEqual([]);
  });

  it("the table of file names imports nothing of the project but its errors", () => {
    const targets = imports.filter(({ from }) => from === NAMES).map(({ target }) => target);
    expect(targets.filter((target) => target.startsWith("src/"))).toEqual(["src/errors.ts"]);
  });

  it("nothing in src imports what lies outside of it", () => {
    expect(
      imports.filter(
        ({ target }) => target.startsWith("..") || /^(test|bench|scripts|examples)\//.test(target),
      ),
    ).toEqual([]);
  });

  it("index.ts is a table of contents: named exports, no logic", () => {
    const index = sources.find(({ path }) => path === "src/index.ts");
    const rest = withoutComments(index?.text ?? "nothing").replaceAll(
      /export (type )?\{[^}]*\} from "[^"]+";/g,
      "",
    );
    expect(rest.trim()).toBe("");
  });

  it.each(Object.entries(BEHIND_ONE_FILE))("the package %s is imported by one file at most", (name, file) => {
    const importers = importersOf((target) => target === name || target.startsWith(`${name}/`));
    expect(importers.length, importers.join(", ")).toBeLessThanOrEqual(1);
    if (file !== null) expect([[], [file]]).toContainEqual(importers);
  });

  it("only host/ starts processes", () => {
    const importers = importersOf((target) => target === "node:child_process" || target === "child_process");
    expect(importers.filter((path) => layerOf(path) !== "host")).toEqual([]);
  });

  it("only qemu/ knows QEMU's words", () => {
    const word =
      /hostfwd|qmp_capabilities|(^|[ "])-(netdev|chardev|blockdev|incoming)\b|info usernet|human-monitor-command/;
    const users = sources
      .filter((file) => stringsOf(file).some((text) => word.test(text)))
      .map(({ path }) => path);
    expect(users.filter((path) => layerOf(path) !== "qemu")).toEqual([]);
  });

  it("only state/paths.ts spells the file names of the state folder", () => {
    const state = statePaths({ SMOLVM_HOME: "/home" });
    const namesIn = (value: unknown): string[] =>
      typeof value === "string" ? [value] : Object.values(value as object).flatMap(namesIn);
    const paths = [state, imagePaths(state, "x"), machinePaths(state, "x")].flatMap(namesIn);
    // Plain words such as "images" are words elsewhere.
    const names = paths.map((path) => basename(path)).filter((name) => /[._]/.test(name));
    expect(names).toContain("known_hosts");
    const spelled = sources
      .filter(({ path }) => path !== NAMES)
      .flatMap((file) =>
        stringsOf(file)
          .filter((text) => names.includes(basename(text)))
          .map((text) => `${file.path}: ${text}`),
      );
    expect(spelled).toEqual([]);
  });

  it("`smolvm --version` loads nothing but Node's own modules", () => {
    const code = (path: string) => withoutComments(sources.find((file) => file.path === path)?.text ?? "");
    const loaded = (path: string) =>
      [...code(path).matchAll(/^import (?!type\b).*?["']([^"']+)["'];/gm)].map((match) => match[1] ?? "");
    expect(loaded("src/cli/main.ts")).toEqual(["./io.ts"]);
    expect(loaded("src/cli/io.ts")).toEqual(["node:fs"]);
  });

  it("no name is a Manager, Helper, Service or Util", () => {
    const noun = /\b[A-Za-z]*(?:Manager|Helper|Service|Util)s?\b/g;
    const found = sources.flatMap((file) =>
      [...withoutComments(file.text).matchAll(noun)].map(([name]) => `${file.path}: ${name}`),
    );
    expect(found).toEqual([]);
  });
});

describe("files", () => {
  it("none is longer than 300 lines", () => {
    const code = ["src", "test", "scripts", "examples", "bench"].flatMap((folder) =>
      readSources(folder, [".ts", ".mjs", ".sh"]),
    );
    const long = code.filter(({ text }) => text.split("\n").length > 301).map(({ path }) => path);
    expect(long).toEqual([]);
  });

  it("none opens by itself what may be a fifo", () => {
    const named = /import (?:type )?\{([^}]*)\} from "node:fs(?:\/promises)?"/g;
    const opening = sources.filter(({ text }) =>
      [...text.matchAll(named)]
        .flatMap((match) => (match[1] ?? "").split(","))
        .some((name) => OPENERS.includes(name.trim().split(" as ")[0] ?? "")),
    );
    expect(opening.map(({ path }) => path).sort()).toEqual(Object.keys(OPENING).sort());
    const whole = /import \* as \w+ from "node:fs|import \w+ from "node:fs|import\("node:fs/;
    expect(sources.filter(({ text }) => whole.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it("none imports another without its ending", () => {
    const endless = imports.filter(
      ({ target }) => target.startsWith("src/") && !/\.(ts|js|json)$/.test(target),
    );
    expect(endless).toEqual([]);
  });
});
