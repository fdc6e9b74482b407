import { describe, expect, it } from "vitest";
import type { Setup } from "../../../src/sandbox/machine/boot-setup.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import { templateInputs, templateKey } from "../../../src/sandbox/template/template-key.ts";

const FEATURES = {
  version: "7.2.22 (Debian 1:7.2+dfsg-7)",
  accelerators: ["kvm", "tcg"],
  sandbox: true,
  exitWithParent: false,
  vmgenid: true,
  cloning: true,
};

const SETUP: Setup = {
  files: {
    image: { name: "debian", digest: "d1", kernelVersion: null },
    kernel: "/images/debian-d1/vmlinux",
    initramfs: "/images/debian-d1/initramfs.cpio",
    bootArgs: "console=ttyS0 root=/dev/vda rw init=/init",
    disk: { path: "/images/debian-d1/rootfs.ext4", format: "raw", bytes: 4096 },
    startsSsh: true,
  },
  key: { path: "/keys/id", privateKey: "secret", publicLine: "ssh-ed25519 AAAA me" },
  choice: { accelerator: "tcg", reason: "", candidates: [] },
  qemu: { arch: "x86_64", path: "/usr/bin/qemu-system-x86_64", features: FEATURES },
};

const keyOf = (options: Parameters<typeof parseSpec>[0] = {}, setup: Partial<Setup> = {}) =>
  templateKey(templateInputs(parseSpec(options), { ...SETUP, ...setup }));

const { files, qemu } = SETUP;

describe("the key of a template", () => {
  it("is the same for machines of one kind, wherever their files lie and whoever they are", () => {
    const elsewhere = {
      files: {
        ...files,
        kernel: "/other/vmlinux",
        initramfs: "/other/initramfs",
        disk: files.disk && { ...files.disk, path: "/other/rootfs" },
      },
      key: { ...SETUP.key, path: "/other/key" },
    };
    const other = { name: "swift-otter", labels: { a: "b" }, env: { A: "b" }, ports: [{ guest: 80 }] };
    expect(keyOf()).toMatch(/^[0-9a-f]{64}$/);
    expect(keyOf(other, elsewhere)).toBe(keyOf());
  });

  it.each<[string, Parameters<typeof keyOf>]>([
    ["memory", [{ memSizeMib: 513 }]],
    ["processors", [{ vcpuCount: 2 }]],
    ["disk size", [{ diskSizeMib: 5000 }]],
    ["network", [{ network: "off" }]],
    ["user", [{ sshUser: "me" }]],
    ["image", [{}, { files: { ...files, image: { name: "debian", digest: "d2", kernelVersion: null } } }]],
    ["boot arguments", [{}, { files: { ...files, bootArgs: `${files.bootArgs} quiet` } }]],
    ["client key", [{}, { key: { ...SETUP.key, publicLine: "ssh-ed25519 BBBB me" } }]],
    ["accelerator", [{}, { choice: { ...SETUP.choice, accelerator: "kvm" } }]],
    ["QEMU's version", [{}, { qemu: { ...qemu, features: { ...FEATURES, version: "7.2.23" } } }]],
    ["QEMU's abilities", [{}, { qemu: { ...qemu, features: { ...FEATURES, sandbox: false } } }]],
    ["QEMU", [{}, { qemu: { ...qemu, path: "/opt/qemu" } }]],
  ])("is another one for another %s", (_, given) => {
    expect(keyOf(...given)).not.toBe(keyOf());
  });

  it("depends on this host's processor only where the guest runs on it", () => {
    const processorUnder = (accelerator: "kvm" | "tcg") =>
      templateInputs(parseSpec(), { ...SETUP, choice: { ...SETUP.choice, accelerator } }).processor;
    expect(processorUnder("tcg")).toBe("emulated");
    expect(processorUnder("kvm")).not.toBe("emulated");
  });

  it("holds no secret among its inputs", () => {
    expect(JSON.stringify(templateInputs(parseSpec(), SETUP))).not.toContain("secret");
  });
});
