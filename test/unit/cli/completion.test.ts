import { describe, expect, it } from "vitest";
import { runCli } from "../../../src/cli/cli.ts";
import { COMMANDS } from "../../../src/cli/commands/table.ts";
import { complete } from "../../../src/cli/completion/complete.ts";
import { joinAssignments } from "../../../src/cli/completion/line.ts";
import { fakeIo } from "../../setup/fake-io.ts";
import { fakeMachines } from "../../support/fake-machines.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const { api } = fakeMachines([{ name: "web" }, { name: "worker", status: "stopped" }, { name: "db" }]);
const library = { ...api, listImages: async () => [{ name: "mine" }, { name: "tiny" }] };

async function candidates(...words: string[]): Promise<string[]> {
  const lines = await complete(words, fakeIo(library));
  return lines
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split("\t")[0] ?? "");
}

describe("what a shell completes", () => {
  const machines = ["web", "worker", "db"];
  const cases: readonly (readonly [words: string[], candidates: string[]])[] = [
    [["ex"], ["exec"]],
    [["st"], ["start", "stop"]],
    [["--v"], ["--version"]],
    [["--json", "pru"], ["prune"]],
    [["help", "pru"], ["prune"]],
    [["nope", ""], []],
    [["toString", ""], []],
    [["exec", ""], machines],
    [
      ["exec", "w"],
      ["web", "worker"],
    ],
    [["exec", "-it", "-e", "A=1", "d"], ["db"]],
    [["exec", "web", ""], []],
    [["exec", "web", "--", "--u"], []],
    [["exec", "--u"], ["--user"]],
    [
      ["exec", "--shell", ""],
      ["login", "raw"],
    ],
    [["exec", "--shell=r"], ["--shell=raw"]],
    [["exec", "--user", ""], []],
    [
      ["stop", "web", ""],
      ["worker", "db"],
    ],
    [
      ["stop", "--", "w"],
      ["web", "worker"],
    ],
    [["stop", "--", "--t"], []],
    [["logs", "--source", "q"], ["qemu"]],
    [["logs", "web", ""], []],
    [
      ["run", "--image", ""],
      ["debian", "tiny", "mine"],
    ],
    [["run", "--image=m"], ["--image=mine"]],
    [["run", "--image", "=", "m"], ["mine"]],
    [
      ["run", "--image", "="],
      ["debian", "tiny", "mine"],
    ],
    [["run", "-e", "A", "=", "1", "--image", "t"], ["tiny"]],
    [["run", "ls", ""], []],
    [
      ["image", ""],
      ["build", "ls", "inspect", "rm"],
    ],
    [["image", "rm", "m"], ["mine"]],
    [["image", "--j"], ["--json"]],
    [["env", "s"], ["set"]],
    [
      ["env", ""],
      ["ls", "get", "set", "unset", ...machines],
    ],
    [["env", "set", "d"], ["db"]],
    [["env", "web", ""], []],
    [
      ["snapshot", "ls", "-"],
      ["-q", "--quiet", "-h", "--help", "--json"],
    ],
    [["snapshot", "rm", ""], ["before"]],
    [["snapshot", "web", ""], []],
    [["restore", "b"], ["before"]],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    [["ls", ""], []],
  ];
  it.each(cases)("%j with %j", async (words, wanted) => {
    expect(await candidates(...words)).toEqual(wanted);
  });

  it("is every command where nothing was typed yet", async () => {
    expect(await candidates("")).toEqual(Object.keys(COMMANDS));
    expect(await candidates()).toEqual(Object.keys(COMMANDS));
  });

  it("has a word on each candidate behind a tab", async () => {
    expect(await complete(["stop", "wo"], fakeIo(library))).toBe("worker\tstopped\n");
    expect(await complete(["restore", ""], fakeIo(library))).toBe("before\tof web\n");
    expect(await complete(["doc"], fakeIo(library))).toContain("doctor\tcheck this host");
  });

  it("does not load the library where no names of this host are asked for", async () => {
    const loadApi = () => Promise.reject(new Error("it was loaded"));
    const io = { ...fakeIo({}), loadApi };
    for (const words of [["e"], ["exec", "-"], ["exec", "--shell", ""], ["image", ""]])
      expect(await complete(words, io)).not.toBe("");
  });

  it("leaves names out that can't be listed, and what else there is in", async () => {
    expect(await complete(["env", "s"], fakeIo({}))).toMatch(/^set\t/);
    expect(await complete(["exec", ""], fakeIo({}))).toBe("");
  });

  it("of any words is lines that begin with the last one, and never a failure (seeded)", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const words = [
      "exec",
      "env",
      "image",
      "rm",
      "web",
      "--",
      "-",
      "--image",
      "=",
      "-it",
      "",
      "é",
      "--shell=",
      "help",
      "s",
    ];
    for (let round = 0; round < 500; round++) {
      const line = Array.from({ length: random(6) }, () => words[random(words.length)] ?? "");
      const found = await candidates(...line);
      const last = joinAssignments(line).at(-1) ?? "";
      expect(
        found.every((text) => text.startsWith(last)),
        `seed ${seed}: ${JSON.stringify(line)}`,
      ).toBe(true);
    }
  });
});

describe("words that bash took apart at each =", () => {
  it.each([
    [
      ["run", "--image", "=", "ti"],
      ["run", "--image", "ti"],
    ],
    [
      ["run", "--image", "="],
      ["run", "--image", ""],
    ],
    [
      ["run", "-e", "A", "=", "b", "x"],
      ["run", "-e", "A=b", "x"],
    ],
    [
      ["ls", "--filter", "label", "=", "a", "=", "b"],
      ["ls", "--filter", "label=a=b"],
    ],
    [
      ["run", "-e", "A="],
      ["run", "-e", "A="],
    ],
    [
      ["run", "-e", "A=", "x"],
      ["run", "-e", "A=", "x"],
    ],
    [["="], ["="]],
  ])("%j are %j", (words, joined) => {
    expect(joinAssignments(words)).toEqual(joined);
  });
});

describe("smolvm completion", () => {
  it.each(["bash", "zsh", "fish"])("prints the script for %s, which asks smolvm", async (shell) => {
    const io = fakeIo({});
    expect(await runCli(["completion", shell], io)).toBe(0);
    expect(io.out()).toContain("smolvm __complete");
    const json = fakeIo({});
    await runCli(["completion", shell, "--json"], json);
    expect(JSON.parse(json.out())).toEqual({ shell, script: io.out() });
  });

  it("refuses a shell that it does not know", async () => {
    const io = fakeIo({});
    expect(await runCli(["completion", "tcsh"], io)).toBe(2);
    expect(io.err()).toContain("bash, zsh or fish");
  });
});
