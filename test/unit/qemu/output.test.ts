import { describe, expect, it } from "vitest";
import { ended, tellingLine } from "../../../src/qemu/output.ts";

describe("the telling line of what QEMU wrote", () => {
  it.each([
    [
      "the error, not the assertion that follows it",
      "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nqemu-system-x86_64: ../kvm.c:3183: Assertion `x' failed.",
      "failed to set MSR 0x10a to 0x69",
    ],
    [
      "the last line otherwise",
      "qemu-system-x86_64: warning: something\nqemu-system-x86_64: -blockdev x: Could not open '/a': No such file or directory",
      "-blockdev x: Could not open '/a': No such file or directory",
    ],
    ["another program's words", "/bin/sh: 1: nope: not found\n\n", "/bin/sh: 1: nope: not found"],
    ["nothing", "\n", ""],
  ])("is %s", (_, output, expected) => {
    expect(tellingLine(output)).toBe(expected);
  });

  it.each(["It broke", "It broke.", " It broke. "])("%j becomes a sentence's end", (text) => {
    expect(ended(text)).toBe("It broke.");
  });
});
