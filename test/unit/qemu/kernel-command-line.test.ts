import { describe, expect, it } from "vitest";
import { kernelCommandLine } from "../../../src/qemu/kernel-command-line.ts";

describe("the kernel's command line", () => {
  it.each([
    ["console=ttyS0 quiet", "tcg", "console=ttyS0 quiet norandmaps"],
    ["norandmaps console=ttyS0", "tcg", "norandmaps console=ttyS0"],
    ["", "tcg", "norandmaps"],
    ["  console=ttyS0 ", "tcg", "console=ttyS0 norandmaps"],
    ["console=ttyS0 quiet", "kvm", "console=ttyS0 quiet"],
    ["console=ttyS0 quiet", "hvf", "console=ttyS0 quiet"],
  ] as const)("%j under %s is %j", (base, accelerator, expected) => {
    expect(kernelCommandLine(base, accelerator)).toBe(expected);
  });
});
