import { hostProcessor } from "../../host/platform.ts";
import { qemuArguments } from "../../qemu/arguments.ts";
import { canonicalDigest } from "../../util/canonical-json.ts";
import type { Setup } from "../machine/boot-setup.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { describe, overlayOn } from "./prepare.ts";

/** A digest of the devices of a machine, and of the processor where the guest runs on it: what another has can't go on with its state. */
export function deviceModel(spec: MachineSpec, setup: Setup): string {
  const description = describe(spec, nameless(setup), { ...namelessFiles(setup), disks: [] });
  return canonicalDigest({
    arguments: qemuArguments(description, setup.qemu.features, undefined, "restore"),
    disks: setup.files.disk !== null,
    processor: processorOf(setup.choice),
  });
}

/** What the guest runs on: the host's own processor, or one that is the same everywhere. */
export function processorOf({ accelerator }: Setup["choice"]): string {
  return accelerator === "tcg" ? "emulated" : hostProcessor();
}

/** Where files lie does not matter, only what is in them. */
export function nameless(setup: Setup): Setup {
  return { ...setup, files: { ...setup.files, kernel: "kernel" } };
}

export function namelessFiles({ files }: Setup) {
  return {
    name: "clone",
    initramfs: "initramfs",
    memoryFile: { path: "memory", shared: true },
    disks: files.disk ? [overlayOn({ ...files.disk, path: "base" }, ["disk"], false)] : [],
  };
}
