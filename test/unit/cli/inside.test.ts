import { describe, expect, it } from "vitest";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

const perform = (argv: readonly string[], options: Parameters<typeof performWith>[2] = {}) =>
  performWith(fakeMachines(), argv, options);

describe("smolvm env", () => {
  it.each([[["env", "web"]], [["env", "ls", "web"]]])(
    "%j prints lines that a shell reads back",
    async (argv) => {
      expect((await perform(argv)).out).toBe("A=1\nGREETING='it'\\''s me\n'\n");
    },
  );

  it("prints nothing where none is set", async () => {
    const library = fakeMachines([{}], { more: { listEnvVars: async () => ({}) } });
    expect(await performWith(library, ["env", "web"])).toMatchObject({ status: 0, out: "", err: "" });
  });

  const cases: readonly (readonly [argv: string[], calls: unknown[][], out: string])[] = [
    [
      ["set", "web", "A=1", "B=x y"],
      [["setEnvVars", "web", { A: "1", B: "x y" }, { merge: true }]],
      "A\nB\n",
    ],
    [["set", "--replace", "web", "A="], [["setEnvVars", "web", { A: "" }, { merge: false }]], "A\nB\n"],
    [["set", "web", "TOKEN"], [["setEnvVars", "web", { TOKEN: "secret" }, { merge: true }]], "A\nB\n"],
    [["unset", "web", "A", "C"], [["unsetEnvVars", "web", ["A", "C"]]], "A\n"],
  ];
  it.each(cases)("env %j does %j and prints %j", async (argv, calls, out) => {
    const ended = await perform(["env", ...argv], { env: { TOKEN: "secret" } });
    expect(ended).toMatchObject({ status: 0, calls, out });
  });

  it("get prints a value as it is, but on a terminal nothing that would steer it", async () => {
    expect((await perform(["env", "get", "web", "GREETING"])).out).toBe("it's me\n\n");
    const library = fakeMachines([{}], { more: { listEnvVars: async () => ({ A: "\u001b[2J" }) } });
    expect((await performWith(library, ["env", "get", "web", "A"])).out).toBe("\u001b[2J\n");
    expect((await performWith(library, ["env", "get", "web", "A"], { isTTY: true })).out).toBe("\\x1b[2J\n");
    const json = await performWith(library, ["env", "get", "web", "A", "--json"]);
    expect(JSON.parse(json.out)).toEqual({ name: "A", value: "\u001b[2J" });
  });

  it.each([
    ["GREETIN", "Did you mean GREETING? All that are set: smolvm env ls web"],
    ["constructor", "All that are set: smolvm env ls web"],
  ])("get of %s, which is not set, says so and what helps", async (variable, remedy) => {
    const { status, out, err } = await perform(["env", "get", "web", variable]);
    expect({ status, out }).toEqual({ status: 125, out: "" });
    expect(err).toBe(`smolvm: ${variable} is not set in machine "web".\n  ${remedy}\n`);
  });

  it("unset says which names were not set, and does the others", async () => {
    const { status, out, err } = await perform(["env", "unset", "web", "NOPE", "A", "NOPE", "toString"]);
    expect({ status, out }).toEqual({ status: 0, out: "A\n" });
    expect(err).toBe("smolvm: NOPE was not set in web.\nsmolvm: toString was not set in web.\n");
    const json = await perform(["env", "unset", "web", "NOPE", "A", "--json"]);
    expect({ err: json.err, document: JSON.parse(json.out) }).toEqual({
      err: "",
      document: { removed: { A: "1" } },
    });
  });

  it("a variable that is not set here is refused, and nothing is set", async () => {
    const { status, err, all } = await perform(["env", "set", "web", "A=1", "NOPE"]);
    expect({ status, all }).toEqual({ status: 2, all: [] });
    expect(err).toContain("NOPE is not set here");
  });

  it.each([
    [["ls", "web"], { env: { A: "1", GREETING: "it's me\n" } }],
    [["set", "web", "A=1"], { names: ["A", "B"] }],
    [["unset", "web", "A"], { removed: { A: "1" } }],
  ])("env --json %j is %j", async (argv, document) => {
    expect(JSON.parse((await perform(["env", "--json", ...argv])).out)).toEqual(document);
  });
});

describe("smolvm logs", () => {
  const anySignal = expect.any(AbortSignal);

  it.each([
    [[], {}],
    [["-f"], { follow: true }],
    [["--follow", "--tail", "20"], { follow: true, tail: 20 }],
    [["--tail", "0", "--source", "qemu"], { tail: 0, source: "qemu" }],
  ])("%j asks for %j", async (argv, options) => {
    const { calls } = await perform(["logs", ...argv, "web"]);
    expect(calls).toEqual([["logs", "web", { ...options, signal: anySignal }]]);
  });

  it("prints the lines as they are, but on a terminal nothing that would steer it", async () => {
    expect((await perform(["logs", "web"])).out).toBe("one\n\u001b[31mtwo\u001b[2J\n");
    expect((await perform(["logs", "web"], { isTTY: true })).out).toBe(
      "one\n\u001b[31mtwo\\x1b[2J\u001b[0m\n",
    );
  });

  it("--json is one document, so it does not go with -f", async () => {
    const { out } = await perform(["logs", "--json", "web"]);
    expect(JSON.parse(out)).toEqual({ source: "console", lines: ["one", "\u001b[31mtwo\u001b[2J"] });
    const refused = await perform(["logs", "--json", "-f", "web"]);
    expect({ status: refused.status, all: refused.all }).toEqual({ status: 2, all: [] });
  });
});

describe("smolvm ssh-config", () => {
  const withInclude = () => {
    const library = fakeMachines();
    return { ...library, api: { ...library.api, sshConfigInclude: () => "Include /home/vms/*/ssh_config" } };
  };

  it("of a machine is its block and nothing else", async () => {
    expect((await perform(["ssh-config", "web"])).out).toBe("Host web\n  Port 2222\n");
    expect(JSON.parse((await perform(["ssh-config", "web", "--json"])).out)).toEqual({
      config: "Host web\n  Port 2222\n",
    });
  });

  it("without a machine is the line for all, below comments that say where it belongs", async () => {
    const { out } = await performWith(withInclude(), ["ssh-config"]);
    const lines = out.trimEnd().split("\n");
    expect(lines.at(-1)).toBe("Include /home/vms/*/ssh_config");
    expect(lines.slice(0, -1).every((line) => line.startsWith("# "))).toBe(true);
    expect(out).toContain("~/.ssh/config");
    const json = await performWith(withInclude(), ["ssh-config", "--json"]);
    expect(JSON.parse(json.out)).toEqual({ config: "Include /home/vms/*/ssh_config" });
  });
});
