import { describe, expect, it } from "vitest";
import { waitingLine } from "../../../src/ssh/protocol/waiting-code.ts";
import type { CommandSpec } from "../../../src/ssh/spec/command-spec.ts";

const SPEC: CommandSpec = {
  command: "true",
  shell: "raw",
  timeoutMs: null,
  env: {},
  cwd: null,
  user: null,
  stdin: { kind: "bytes", bytes: new Uint8Array() },
  terminal: null,
  maxOutputBytes: 1,
  signal: null,
};

const lineOf = (spec: Partial<CommandSpec>, bulk: Buffer[] = []) =>
  waitingLine({ ...SPEC, ...spec }, { kind: "posix", isLast: false, saysBegun: false, renewal: "", bulk });

describe("the line of a shell that waits", () => {
  it("has the script as it is, and no code that is the same for each command", () => {
    expect(lineOf({})).toBe("-e true");
    expect(lineOf({ command: "echo '$x' \\\t;" })).toBe("-e echo '$x' \\\t;");
    expect(lineOf({ command: ["-x", "it's"] })).toBe(`-e \\exec 'env' '--' '-x' 'it'\\''s'`);
    expect(lineOf({ stdin: { kind: "bytes", bytes: Buffer.from("in") } })).toBe("- true");
  });

  it.each([" true", "true\\ ", "a\nb", ""])("quotes a script that `read` would change: %j", (command) => {
    const quoted = command.replaceAll("\n", `'"$5"'`);
    expect(lineOf({ command })).toBe(command === "" ? "-e " : `-ec __smolvm_l='${quoted}'`);
  });

  it("has what comes before the script as code that ends with it", () => {
    expect(lineOf({ env: { A: "1" } })).toBe(`-ec { \\export A='1';} 2>&-;__smolvm_l='true'`);
  });

  it("leaves what is too long for it to what follows", () => {
    const bulk: Buffer[] = [];
    const command = "x".repeat(2000);
    expect(lineOf({ command }, bulk)).toMatch(/^-ec \{ __smolvm_l=\$\(.*bs=2000 /);
    expect(String(bulk)).toBe(command);
  });
});
