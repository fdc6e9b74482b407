import { describe, expect, it } from "vitest";
import { candidatesFor, explainKvm } from "../../../src/qemu/accelerator.ts";

describe("the accelerators to look at", () => {
  it.each([
    ["auto", "linux", ["kvm", "tcg"]],
    ["auto", "darwin", ["hvf", "tcg"]],
    ["auto", "freebsd", ["tcg"]],
    ["tcg", "linux", ["tcg"]],
    ["kvm", "linux", ["kvm"]],
    ["hvf", "linux", ["hvf"]],
  ] as const)("for %s on %s are %j", (requested, platform, expected) => {
    expect(candidatesFor(requested, platform)).toEqual(expected);
  });
});

describe("a KVM device that can't be opened", () => {
  it.each([
    ["ENOENT", "there is no /dev/kvm on this host", "modprobe"],
    ["EACCES", "this user may not open /dev/kvm", 'usermod -aG kvm "$USER"'],
    ["EPERM", "this user may not open /dev/kvm", 'usermod -aG kvm "$USER"'],
    ["EBUSY", "/dev/kvm can't be opened: EBUSY", "modprobe"],
  ])("with %s is explained, with what helps", (code, reason, help) => {
    const explained = explainKvm("/dev/kvm", code);
    expect(explained.reason).toBe(reason);
    expect(explained.remediation).toContain(help);
  });
});
