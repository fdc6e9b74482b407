import { describe, expect, it } from "vitest";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

const anySignal = expect.any(AbortSignal);
const perform = (argv: readonly string[]) => performWith(fakeMachines(), argv);

describe("smolvm snapshot", () => {
  it.each([
    [["snapshot", "web"], undefined],
    [["snapshot", "web", "before"], "before"],
    [["snapshot", "create", "web", "before"], "before"],
  ])("%j saves the machine as %j and prints the name", async (argv, name) => {
    const { status, out, calls } = await perform(argv);
    expect(calls).toEqual([["snapshot", "web", name, { signal: anySignal }]]);
    expect({ status, out }).toEqual({ status: 0, out: "before\n" });
  });

  it("--json shows the snapshot", async () => {
    expect(JSON.parse((await perform(["snapshot", "web", "--json"])).out)).toMatchObject({
      snapshot: { name: "before", sourceName: "web", pauseMs: 50 },
    });
  });

  it("ls is a table, a list of names or a document", async () => {
    expect((await perform(["snapshot", "ls"])).out).toBe(
      [
        "NAME    SOURCE  IMAGE   MEMORY   CPUS  CREATED                   SIZE",
        "before  web     debian  512 MiB  1     2025-01-02T00:00:00.000Z  90 MiB",
        "",
      ].join("\n"),
    );
    expect((await perform(["snapshot", "ls", "-q"])).out).toBe("before\n");
    expect(JSON.parse((await perform(["snapshot", "ls", "--json"])).out)).toMatchObject({
      snapshots: [{ name: "before" }],
    });
  });

  it("rm removes each and names them", async () => {
    const { out, calls } = await perform(["snapshot", "rm", "a", "b"]);
    expect(calls).toEqual([
      ["deleteSnapshot", "a"],
      ["deleteSnapshot", "b"],
    ]);
    expect(out).toBe("a\nb\n");
    expect(JSON.parse((await perform(["snapshot", "rm", "a", "--json"])).out)).toEqual({ removed: ["a"] });
  });
});

describe("smolvm fork", () => {
  it.each([
    [[], {}, ["copy-1"]],
    [["--name", "try"], { name: "try" }, ["try-1"]],
    [["--count", "2", "--name", "w"], { count: 2, name: "w" }, ["w-1", "w-2"]],
  ])("%j asks for copies that stay, with %j, and prints their names", async (argv, options, names) => {
    const { out, calls, all } = await perform(["fork", "web", ...argv]);
    expect(calls).toEqual([["fork", "web", { ...options, persistent: true, signal: anySignal }]]);
    expect(out).toBe(`${names.join("\n")}\n`);
    const closed = all.filter(([verb]) => verb === "close").map(([, name]) => name);
    expect(closed).toEqual([...names, "web"]);
  });

  it("--json shows the copies", async () => {
    const { machines } = JSON.parse((await perform(["fork", "web", "--count", "2", "--json"])).out);
    expect(machines.map(({ name }: { name: string }) => name)).toEqual(["copy-1", "copy-2"]);
  });
});

describe("smolvm restore", () => {
  it.each([
    [[], {}],
    [["--name", "web2"], { name: "web2" }],
    [
      ["--label", "a=1", "--port", "8081:80", "-e", "A=1", "--ttl", "1h", "--idle-timeout", "5m"],
      {
        labels: { a: "1" },
        ports: [{ guest: 80, host: 8081 }],
        env: { A: "1" },
        ttl: "1h",
        idleTimeout: "5m",
      },
    ],
  ])("%j asks for a machine that stays, with %j", async (argv, options) => {
    const { calls } = await perform(["restore", "before", ...argv]);
    expect(calls).toEqual([
      [
        "restore",
        "before",
        { ...options, persistent: true, signal: anySignal, onProgress: expect.any(Function) },
      ],
    ]);
  });

  it("prints the name, or the machine as JSON", async () => {
    expect((await perform(["restore", "before"])).out).toBe("swift-otter-3f9a1c\n");
    expect(JSON.parse((await perform(["restore", "before", "--name", "x", "--json"])).out)).toMatchObject({
      machine: { name: "x" },
    });
  });
});
