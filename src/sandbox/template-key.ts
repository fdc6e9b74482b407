import { createHash } from "node:crypto";
import { hostArch, hostProcessor } from "../host/platform.ts";
import { qemuArguments } from "../qemu/arguments.ts";
import { scriptsDigest } from "../ssh/guest-scripts.ts";
import { canonicalJson } from "../util/canonical-json.ts";
import type { Setup } from "./boot-setup.ts";
import { describe, overlayOn } from "./setup.ts";
import type { MachineSpec } from "./spec.ts";

/** To be raised when templates are made or used in another way: those made before are then never found again. */
const TEMPLATE_FORMAT = 1;

/**
 * Everything that shapes a saved machine, readable. Its image's digest covers the kernel, the packages and what of ours runs
 * in the guest; QEMU's arguments the board, the devices, memory, processors, network and the kernel's command line.
 */
export function templateInputs(spec: MachineSpec, setup: Setup): Record<string, unknown> {
  const { files, choice, qemu, key } = setup;
  return {
    format: TEMPLATE_FORMAT,
    image: files.image && { name: files.image.name, digest: files.image.digest },
    arch: hostArch(),
    qemu: { path: qemu.path, version: qemu.features.version },
    accelerator: choice.accelerator,
    processor: choice.accelerator === "tcg" ? "emulated" : hostProcessor(),
    memoryMib: spec.memoryMib,
    cpus: spec.cpus,
    diskMib: files.disk ? spec.diskMib : null,
    network: spec.network,
    authorizedKey: key.publicLine,
    sshUser: spec.sshUser,
    shells: scriptsDigest(),
    arguments: qemuArguments(describe(spec, nameless(setup), namelessFiles(setup)), qemu.features),
  };
}

export function templateKey(inputs: Record<string, unknown>): string {
  return createHash("sha256").update(canonicalJson(inputs)).digest("hex");
}

/** A digest of the devices of a machine, and of the processor where the guest runs on it: what another has can't go on with its state. */
export function deviceModel(spec: MachineSpec, setup: Setup): string {
  const description = describe(spec, nameless(setup), { ...namelessFiles(setup), disks: [] });
  const { choice, qemu } = setup;
  const model = {
    arguments: qemuArguments(description, qemu.features, undefined, "restore"),
    disks: setup.files.disk !== null,
    processor: choice.accelerator === "tcg" ? "emulated" : hostProcessor(),
  };
  return createHash("sha256").update(canonicalJson(model)).digest("hex");
}

/** Where files lie does not matter, only what is in them. */
function nameless(setup: Setup): Setup {
  return { ...setup, files: { ...setup.files, kernel: "kernel" } };
}

function namelessFiles({ files }: Setup) {
  return {
    name: "clone",
    initramfs: "initramfs",
    memoryFile: { path: "memory", shared: true },
    disks: files.disk ? [overlayOn({ ...files.disk, path: "base" }, ["disk"], false)] : [],
  };
}
