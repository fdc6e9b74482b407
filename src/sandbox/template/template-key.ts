import { hostArch } from "../../host/platform.ts";
import { qemuArguments } from "../../qemu/arguments.ts";
import { scriptsDigest } from "../../ssh/protocol/guest-scripts.ts";
import { canonicalDigest } from "../../util/canonical-json.ts";
import { nameless, namelessFiles, processorOf } from "../boot/device-model.ts";
import { describe } from "../boot/prepare.ts";
import type { Setup } from "../machine/boot-setup.ts";
import type { MachineSpec } from "../machine/spec.ts";

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
    processor: processorOf(choice),
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
  return canonicalDigest(inputs);
}
