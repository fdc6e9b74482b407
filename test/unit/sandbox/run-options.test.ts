import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { parseRun } from "../../../src/sandbox/command/run-options.ts";

const parse = (command: unknown, options?: object) => parseRun(command, options);

describe("a command and its options", () => {
  it("are complete where nothing is given", () => {
    expect(parse("true")).toEqual({
      spec: {
        command: "true",
        shell: "login",
        timeoutMs: 30_000,
        env: {},
        cwd: null,
        user: null,
        stdin: { kind: "bytes", bytes: new Uint8Array() },
        terminal: null,
        maxOutputBytes: 16 * 1024 * 1024,
        signal: null,
      },
      check: false,
      onStdout: null,
      onStderr: null,
    });
  });

  it("take a duration as seconds or with its unit, and null for none", () => {
    expect([60, "500ms", "5m", null].map((timeout) => parse("true", { timeout }).spec.timeoutMs)).toEqual([
      60_000,
      500,
      300_000,
      null,
    ]);
  });

  it("take stdin of every kind", () => {
    const kinds = [
      "text",
      "",
      new Uint8Array([1]),
      Readable.from(["a"]),
      (async function* () {})(),
      "pipe",
    ].map((stdin) => parse("cat", { stdin }).spec.stdin.kind);
    expect(kinds).toEqual(["bytes", "bytes", "bytes", "held", "held", "held"]);
  });

  it("take a terminal as true, or with its measures", () => {
    expect(parse("top", { pty: true }).spec.terminal).toEqual({
      columns: 80,
      rows: 24,
      term: "xterm-256color",
    });
    expect(parse("top", { pty: { columns: 100 } }).spec.terminal).toEqual({
      columns: 100,
      rows: 24,
      term: "xterm-256color",
    });
    expect(parse("top", { pty: false }).spec.terminal).toBeNull();
  });

  it("keep an array as it was given, even if the caller changes his later", () => {
    const argv = ["printf", "%s", "", "a b"];
    const { command } = parse(argv).spec;
    argv.push("x");
    expect(command).toEqual(["printf", "%s", "", "a b"]);
  });

  it.each(["", "  ", "\n", "a\0b", [], [""], ["a", 1], ["a", "\0"], undefined, null, 7, { command: "true" }])(
    "refuse the command %j",
    (command) => {
      expect(() => parse(command)).toThrow(ValidationError);
    },
  );

  it.each([
    { timeout: 0 },
    { timeout: -1 },
    { timeout: Number.NaN },
    { timeout: 1e9 },
    { timeout: "5" },
    { shell: "bash" },
    { env: { "1A": "x" } },
    { env: { A: 1 } },
    { env: { A: "\0" } },
    { env: { A: "x".repeat(131_072) } },
    { cwd: "" },
    { cwd: "a\0" },
    { user: "a b" },
    { user: "-u" },
    { user: "" },
    { stdin: 7 },
    { stdin: ["a"] },
    { pty: 1 },
    { pty: { columns: 0 } },
    { pty: { rows: 1.5 } },
    { pty: { term: "a b" } },
    { pty: { width: 80 } },
    { maxOutputBytes: 0 },
    { maxOutputBytes: 1.5 },
    { check: "yes" },
    { signal: {} },
    { onStdout: "print" },
    { tiemout: 5 },
  ])("refuse %j", (options) => {
    expect(() => parse("true", options)).toThrow(ValidationError);
  });

  it("name the option that was meant", () => {
    expect(() => parse("true", { timeOut: 5 })).toThrow(/did you mean "timeout"/);
  });
});
