import { describe, expect, it } from "vitest";
import { kernelCommandLine } from "../../../src/qemu/kernel-command-line.ts";

const REST =
  "mitigations=off lsm=landlock,yama tsc=nowatchdog nowatchdog cryptomgr.notests initcall_blacklist=jent_mod_init";

describe("the kernel's command line", () => {
  it.each([
    ["console=ttyS0 quiet", "tcg", `console=ttyS0 quiet norandmaps ${REST}`],
    ["norandmaps console=ttyS0", "tcg", `norandmaps console=ttyS0 ${REST}`],
    ["", "tcg", `norandmaps ${REST}`],
    ["  console=ttyS0 ", "tcg", `console=ttyS0 norandmaps ${REST}`],
    ["console=ttyS0 quiet", "kvm", "console=ttyS0 quiet"],
    ["console=ttyS0 quiet", "hvf", "console=ttyS0 quiet"],
  ] as const)("%j under %s is %j", (base, accelerator, expected) => {
    expect(kernelCommandLine(base, accelerator)).toBe(expected);
  });
});
