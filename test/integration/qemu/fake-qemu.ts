import { join } from "node:path";
import type { QemuBinary } from "../../../src/qemu/binary.ts";
import type { MachineDescription } from "../../../src/qemu/description.ts";
import type { LaunchOptions } from "../../../src/qemu/machine.ts";
import { statePaths } from "../../../src/state/paths.ts";

export const FAKE_QEMU: QemuBinary = {
  arch: "x86_64",
  path: join(import.meta.dirname, "fake-qemu.mjs"),
  features: {
    version: "7.2.0 (fake)",
    accelerators: ["tcg"],
    sandbox: false,
    exitWithParent: false,
    vmgenid: false,
    cloning: true,
  },
};

/** A machine of the fake, which does what `script` names (see fake-qemu.mjs). */
export function fakeMachine(script: string): MachineDescription {
  return {
    name: "fake",
    arch: "x86_64",
    accelerator: "tcg",
    memoryMib: 64,
    memoryFile: null,
    cpus: 1,
    kernel: "/images/it's a kernel",
    initramfs: null,
    bootArgs: `console=ttyS0 fake=${script.replaceAll(" ", "-")}`,
    disks: [],
    network: { mode: "open", sshForward: true },
  };
}

export function fakeOptions(more: Partial<LaunchOptions> = {}): LaunchOptions {
  return { state: statePaths({ SMOLVM_HOME: "/nowhere" }), ephemeralFolder: null, qemu: FAKE_QEMU, ...more };
}
