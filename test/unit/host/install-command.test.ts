import { describe, expect, it } from "vitest";
import { installCommand } from "../../../src/host/install-command.ts";

const QEMU = ["qemu-system-x86_64", "qemu-img"];

const linux = (osRelease: string, isRoot = false) => ({ platform: "linux" as const, osRelease, isRoot });

const TABLE: [string, string, string | undefined][] = [
  [
    "Debian",
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils",
  ],
  [
    "Ubuntu",
    "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\n",
    "sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils",
  ],
  [
    "a child of Ubuntu",
    'ID=linuxmint\nID_LIKE="ubuntu debian"\n',
    "sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-x86 qemu-utils",
  ],
  ["Fedora", "ID=fedora\nVERSION_ID=42\n", "sudo dnf install -y qemu-system-x86 qemu-img"],
  ["Arch", "ID=arch\n", "sudo pacman -S --needed --noconfirm qemu-system-x86 qemu-img"],
  [
    "a child of Arch",
    "ID='manjaro'\nID_LIKE='arch'\n",
    "sudo pacman -S --needed --noconfirm qemu-system-x86 qemu-img",
  ],
  ["Alpine", "ID=alpine\n", "sudo apk add qemu-system-x86_64 qemu-img"],
  ["a system that has no such package", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', undefined],
  ["an unknown system", "ID=plan9\n", undefined],
  ["no os-release at all", "", undefined],
];

describe("the install command", () => {
  it.each(TABLE)("on %s is the one of its package system", (_, osRelease, expected) => {
    expect(installCommand(QEMU, linux(osRelease))).toBe(expected);
  });

  it("has no sudo for root", () => {
    expect(installCommand(["qemu-system-aarch64"], linux("ID=debian", true))).toBe(
      "apt-get update && apt-get install -y --no-install-recommends qemu-system-arm",
    );
  });

  it("on macOS is Homebrew's, never with sudo, and names a package once", () => {
    expect(installCommand(QEMU, { platform: "darwin", osRelease: "", isRoot: true })).toBe(
      "brew install qemu",
    );
  });

  it("is not made up for a program whose package nobody knows", () => {
    expect(installCommand(["qemu-img", "frobnicate"], linux("ID=debian"))).toBeUndefined();
    expect(installCommand([], linux("ID=debian"))).toBeUndefined();
  });

  it("is not made up for a platform without a package system", () => {
    expect(installCommand(QEMU, { platform: "win32", osRelease: "", isRoot: false })).toBeUndefined();
  });
});
