import type { DiskLayer, MachineDescription, MachineDisk, MachineNetwork } from "./description.ts";
import type { QemuFeatures } from "./features.ts";
import { kernelCommandLine } from "./kernel-command-line.ts";
import { SERIAL_PORT_NAMES, serialPortId } from "./serial-ports.ts";

/** Where QEMU's monitor and the guest's console lead to. */
export interface Wires {
  readonly qmp: string;
  readonly console: string;
  readonly serial: readonly [main: string, errors: string, identity: string];
}

/** The sockets that QEMU is handed down: src/host/guarded-process.ts deals them out from fd 3 on. */
const HANDED_DOWN: Wires = {
  qmp: "socket,fd=3",
  console: "socket,fd=4",
  serial: ["socket,fd=6", "socket,fd=7", "socket,fd=8"],
};

/** For a person who starts the same QEMU by hand: the guest's console is the terminal. */
export const TERMINAL: Wires = { qmp: "null", console: "stdio,signal=off", serial: ["null", "null", "null"] };

/** The name of the one network, as forwarding commands need it. */
export const NETWORK_ID = "net0";

const MEMORY_ID = "mem0";

/** How much translated code is kept; see docs/qemu.md for what was measured. */
const TRANSLATION_CACHE_MIB = 128;

/** QEMU's arguments for a machine, without the program's name. */
export function qemuArguments(
  machine: MachineDescription,
  features: QemuFeatures,
  wires: Wires = HANDED_DOWN,
  begin: "boot" | "restore" = "boot",
): string[] {
  return [
    ...["-name", `guest=${escapeOption(machine.name)}`],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...sandboxArguments(features),
    ...boardArguments(machine),
    ...memoryArguments(machine),
    ...["-smp", `cpus=${machine.cpus}`],
    // A restored guest has its kernel in its memory; QEMU would only keep a copy of the files.
    ...(begin === "boot" ? kernelArguments(machine) : ["-S", "-incoming", "defer"]),
    ...["-chardev", `${wires.qmp},id=qmp`, "-mon", "chardev=qmp,mode=control"],
    ...["-chardev", `${wires.console},id=console`, "-serial", "chardev:console"],
    ...["-object", "rng-builtin,id=rng0", "-device", "virtio-rng-pci,rng=rng0"],
    ...(features.vmgenid ? ["-device", "vmgenid,guid=auto"] : []),
    ...machine.disks.flatMap(diskArguments),
    ...(machine.network ? networkArguments(machine.network) : []),
    ...serialArguments(wires.serial),
  ];
}

/** A value inside a QEMU option list: only the comma means something there. */
export function escapeOption(value: string): string {
  return value.replaceAll(",", ",,");
}

function sandboxArguments(features: QemuFeatures): string[] {
  const sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
  return [
    ...(features.sandbox ? ["-sandbox", sandbox] : []),
    ...(features.exitWithParent ? ["-run-with", "exit-with-parent=on"] : []),
  ];
}

function boardArguments({ arch, accelerator }: MachineDescription): string[] {
  const bare = arch === "x86_64" ? "q35,vmport=off,smbus=off,sata=off" : "virt,gic-version=max";
  const board = `${bare},memory-backend=${MEMORY_ID}`;
  const emulatedCpu = arch === "x86_64" ? "max" : "max,pauth-impdef=on";
  if (accelerator !== "tcg") return ["-machine", board, "-accel", accelerator, "-cpu", "host"];
  const translation = `tcg,thread=multi,tb-size=${TRANSLATION_CACHE_MIB}`;
  return ["-machine", board, "-accel", translation, "-cpu", emulatedCpu];
}

/** In any case by the same name: a machine that was saved knows its memory by it, and goes on with another kind. */
function memoryArguments({ memoryMib, memoryFile }: MachineDescription): string[] {
  const common = `id=${MEMORY_ID},size=${memoryMib}M`;
  const size = ["-m", `${memoryMib}M`];
  if (memoryFile === null) return [...size, "-object", `memory-backend-ram,${common}`];
  const file = `mem-path=${escapeOption(memoryFile.path)},share=${memoryFile.shared ? "on" : "off"}`;
  return [...size, "-object", `memory-backend-file,${common},${file}`];
}

function kernelArguments(machine: MachineDescription): string[] {
  return [
    ...["-kernel", machine.kernel],
    ...(machine.initramfs === null ? [] : ["-initrd", machine.initramfs]),
    ...["-append", kernelCommandLine(machine.bootArgs, machine.accelerator)],
  ];
}

function diskArguments(disk: MachineDisk, index: number): string[] {
  const id = `disk${index}`;
  return [
    ...["-blockdev", JSON.stringify(diskNode(disk, id))],
    // Without these, QEMU stops the whole machine when the host's disk is full.
    ...["-device", `virtio-blk-pci,id=${id}-device,drive=${id},werror=report,rerror=report`],
  ];
}

/** JSON, so that no character of a path means anything. */
export function diskNode(disk: MachineDisk, id: string): object {
  return {
    driver: disk.format,
    "node-name": id,
    "read-only": disk.readOnly,
    discard: "unmap",
    "detect-zeroes": "unmap",
    cache: { direct: false, "no-flush": !disk.durable },
    file: {
      driver: "file",
      filename: disk.path,
      discard: "unmap",
      cache: { direct: false, "no-flush": !disk.durable },
    },
    ...(disk.format === "qcow2" ? { backing: disk.backing && layerNode(disk.backing) } : {}),
  };
}

function layerNode({ path, format, backing }: DiskLayer): object {
  return {
    driver: format,
    "read-only": true,
    file: { driver: "file", "read-only": true, filename: path },
    ...(backing && { backing: layerNode(backing) }),
  };
}

function networkArguments({ mode, sshForward }: MachineNetwork): string[] {
  const options = [
    `user,id=${NETWORK_ID},ipv6=off`,
    ...(mode === "off" ? ["restrict=on"] : []),
    ...(sshForward ? ["hostfwd=tcp:127.0.0.1:0-:22"] : []),
  ];
  // No option ROM: nobody boots from the network, and the firmware would load it first. And no announcement from a guest that was
  // restored: it has more urgent things to do.
  return [
    "-netdev",
    options.join(","),
    "-device",
    `virtio-net-pci,netdev=${NETWORK_ID},romfile=,guest_announce=off`,
  ];
}

/** Ways to the host for what is to be there at once when a saved machine is restored. */
function serialArguments(wires: Wires["serial"]): string[] {
  const ports = SERIAL_PORT_NAMES.flatMap((name, index) => [
    ...["-chardev", `${wires[index]},id=serial${index}`],
    ...[
      "-device",
      `virtserialport,id=${serialPortId(index)},bus=serial.0,nr=${index + 1},chardev=serial${index},name=${name}`,
    ],
  ]);
  return ["-device", "virtio-serial-pci,id=serial,max_ports=4", ...ports];
}
