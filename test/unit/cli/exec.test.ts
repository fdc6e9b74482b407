import { describe, expect, it } from "vitest";
import { CommandExecutionUnavailableError, VMStateError } from "../../../src/errors.ts";
import { machineWithShell, recordingRun } from "../../support/fake-commands.ts";
import { fakeMachines, performWith } from "../../support/fake-machines.ts";

async function exec(
  argv: string[],
  options: { exitCode?: number; input?: string; isTTY?: boolean; env?: Record<string, string> } = {},
) {
  const { run, asked } = recordingRun(options.exitCode);
  const library = fakeMachines([{}], { more: { run } });
  const { exitCode: _exitCode, ...outside } = options;
  return { ...(await performWith(library, argv, outside)), asked };
}

describe("smolvm exec", () => {
  const anySignal = expect.any(AbortSignal);
  const cases: readonly (readonly [argv: string[], command: unknown, options: object])[] = [
    [["web", "--", "uname", "-a"], ["uname", "-a"], {}],
    [["web", "uname", "-a"], ["uname", "-a"], {}],
    [["web", "--", "a && b"], "a && b", {}],
    [["--", "web", "ls", "--", "-x"], ["ls", "--", "-x"], {}],
    [["web", "--", "--", "x"], ["--", "x"], {}],
    [["web", "--", "-x", "y"], ["-x", "y"], {}],
    [["-e", "A=1", "--env", "B=", "web", "x"], "x", { env: { A: "1", B: "" } }],
    [["--user", "bob", "--cwd", "/srv", "web", "x"], "x", { user: "bob", cwd: "/srv" }],
    [["--timeout", "5s", "--shell", "raw", "web", "x"], "x", { timeout: "5s", shell: "raw" }],
  ];
  it.each(cases)("%j runs %j with %j", async (argv, command, options) => {
    const { asked, status } = await exec(["exec", ...argv]);
    expect(status).toBe(0);
    expect(asked[0]?.command).toEqual(command);
    const { stdin: _stdin, ...given } = asked[0]?.options ?? {};
    expect(given).toEqual({ timeout: null, signal: anySignal, ...options });
  });

  it("prints the two streams apart, ends with the guest's status, and leaves the machine", async () => {
    const { status, out, err, all } = await exec(["exec", "web", "x"], { exitCode: 7 });
    expect({ status, out, err }).toEqual({ status: 7, out: "out", err: "err" });
    expect(all).toEqual([["close", "web"]]);
  });

  it("passes standard input on where it is no terminal", async () => {
    expect((await exec(["exec", "web", "cat"], { input: "hello" })).asked[0]?.input).toBe("hello");
    expect((await exec(["exec", "web", "cat"], { isTTY: true })).asked[0]?.options).not.toHaveProperty(
      "stdin",
    );
    expect((await exec(["exec", "-i", "web", "cat"], { isTTY: true })).asked[0]?.options).toHaveProperty(
      "stdin",
    );
  });

  it("--json is the result as one document", async () => {
    const { out, status } = await exec(["exec", "--json", "web", "x"], { exitCode: 3 });
    expect(status).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ exitCode: 3, stdout: "out", stderr: "err" });
  });

  it("tells how to start a machine that does not run", async () => {
    const run = () => {
      throw new VMStateError("Machine web is stopped.", { remediation: "Call start() first." });
    };
    const library = fakeMachines([{ status: "stopped" }], { more: { run } });
    const { status, err } = await performWith(library, ["exec", "web", "x"]);
    expect({ status, err }).toEqual({
      status: 125,
      err: "smolvm: Machine web is stopped.\n  smolvm start web\n",
    });
  });

  it.each([
    ["web", "smolvm start web"],
    ["vm-web", "smolvm start vm-web"],
  ])("calls the machine by its name where %s was typed, and advises with that", async (typed, remedy) => {
    const run = () => {
      throw new CommandExecutionUnavailableError("vm-web", "it is full.", "Call start() first.", {
        vmName: "web",
      });
    };
    const { err } = await performWith(fakeMachines([{}], { more: { run } }), ["exec", typed, "x"]);
    expect(err).toBe(`smolvm: Commands can't be run in machine "web": it is full.\n  ${remedy}\n`);
  });

  it.each([
    [["exec", "web", "-it", "--", "x"], true, "smolvm exec -it NAME -- COMMAND"],
    [["exec", "web"], true, "Give a command"],
    [["exec", "web", "--"], true, "Give a command"],
    [["exec", "web", "--", " "], true, "is empty"],
    [["exec", "-t", "web", "x"], false, "standard input is none"],
    [["exec", "-it", "--json", "web", "x"], true, "--json"],
    [["shell", "web"], false, "smolvm exec web -- COMMAND"],
    [["shell", "--json", "web"], true, "--json"],
    [["exec"], true, "missing required argument 'name'"],
    [["shell"], true, "missing required argument 'name'"],
  ])(
    "%j (a terminal: %j) → 2, with a word about %s, and no machine is asked for",
    async (argv, isTTY, hint) => {
      const { status, out, err, all } = await exec(argv, { isTTY });
      expect({ status, all }).toEqual({ status: 2, all: [] });
      expect(out + err).toContain(hint);
    },
  );

  it("a machine that nobody knows is an error with the library's suggestion", async () => {
    const { status, err } = await exec(["exec", "wbe", "x"]);
    expect({ status, err }).toEqual({
      status: 125,
      err: "smolvm: There is no machine wbe.\n  Did you mean web?\n",
    });
  });
});

describe("a terminal in a machine that runs", () => {
  const size = { columns: 60, rows: 20, term: "xterm", timeout: null, signal: expect.any(AbortSignal) };
  const cases: readonly (readonly [argv: string[], options: object])[] = [
    [["exec", "-it", "web"], size],
    [["exec", "-it", "web", "--", "top"], { ...size, command: "top" }],
    [
      ["exec", "-it", "-e", "A=1", "--user", "bob", "web", "ls", "-l"],
      { ...size, command: ["ls", "-l"], env: { A: "1" }, user: "bob" },
    ],
    [["exec", "-it", "--shell", "raw", "web"], { ...size, command: ["/bin/sh"], shell: "raw" }],
    [["shell", "web"], size],
    [
      ["shell", "-e", "A=1", "--user", "bob", "--cwd", "/srv", "web"],
      { ...size, env: { A: "1" }, user: "bob", cwd: "/srv" },
    ],
    [
      ["shell", "--shell", "raw", "--timeout", "5s", "web"],
      { ...size, command: ["/bin/sh"], shell: "raw", timeout: "5s" },
    ],
  ];
  it.each(cases)("%j asks for %j", async (argv, options) => {
    const machine = machineWithShell();
    const ended = performWith(fakeMachines([{}], { more: { shell: machine.shell } }), argv, {
      isTTY: true,
      staysOpen: true,
      env: { TERM: "xterm" },
    });
    await expect.poll(() => machine.seen.isAttached).toBe(true);
    machine.exit(5);
    const { status, all } = await ended;
    expect(machine.asked).toEqual([options]);
    expect({ status, all }).toEqual({ status: 5, all: [["close", "web"]] });
  });
});
