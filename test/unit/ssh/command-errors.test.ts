import { describe, expect, it } from "vitest";
import { Fate } from "../../../src/ssh/command/command-errors.ts";
import type { CommandSpec } from "../../../src/ssh/spec/command-spec.ts";

const spec: CommandSpec = {
  command: "true",
  shell: "login",
  timeoutMs: null,
  env: {},
  cwd: null,
  user: null,
  stdin: { kind: "bytes", bytes: Buffer.alloc(0) },
  terminal: null,
  maxOutputBytes: 1024,
  signal: null,
};
const fate = new Fate(spec, { id: "vm-1", name: "box" });

describe("a command without a result", () => {
  it.each([
    ["never ran", fate.unavailable("it is off.", "Start it.")],
    ["has an unknown outcome", fate.outcomeUnknown("the link broke", { stdout: "", stderr: "" })],
  ])("that %s calls its machine by the name", (_, { message }) => {
    expect(message).toContain('in machine "box"');
    expect(message).not.toContain("vm-1");
  });

  it("has the machine's id for programs", () => {
    expect(fate.unavailable("it is off.", "Start it.").vmId).toBe("vm-1");
    expect(new Fate(spec, null).unavailable("it is off.", "Start it.").message).toContain("(not started)");
  });
});

describe("a folder that can't be entered", () => {
  it.each([
    ["/srv/new", "mkdir -p /srv/new"],
    ["/my files; reboot", "mkdir -p '/my files; reboot'"],
  ])("%j is named by a line that can be pasted", (cwd, line) => {
    const { remediation } = new Fate({ ...spec, cwd }, null).neverRan("cwd");
    expect(remediation).toBe(`Create it first: ${line}`);
  });
});

describe("a shell that ended before its command began", () => {
  it("is quoted with its last words", () => {
    const { message } = fate.unbegun({ code: 3 }, { stdout: "hello\n", stderr: "no more\n" });
    expect(message).toContain('ended with status 3 before the command began: "no more".');
  });

  it.each(["", " \n"])("is not quoted where it said %j", (stderr) => {
    const { message } = fate.unbegun({ code: 3 }, { stdout: "", stderr });
    expect(message).toContain("ended with status 3 before the command began: it said nothing.");
    expect(fate.notStarted({ stdout: "", stderr }).message).toMatch(/did not start: it said nothing$/);
  });
});
