import { describe, expect, it } from "vitest";
import { escapeOption, qemuArguments, TERMINAL } from "../../../src/qemu/arguments.ts";
import type { MachineDescription, MachineDisk } from "../../../src/qemu/description.ts";
import type { QemuFeatures } from "../../../src/qemu/features.ts";
import { kernelCommandLine } from "../../../src/qemu/kernel-command-line.ts";

const FEATURES: QemuFeatures = {
  version: "7.2.22",
  accelerators: ["kvm", "tcg"],
  sandbox: true,
  exitWithParent: false,
  vmgenid: true,
  cloning: true,
};

const MACHINE: MachineDescription = {
  name: "swift-otter",
  arch: "x86_64",
  accelerator: "tcg",
  memoryMib: 512,
  memoryFile: null,
  cpus: 2,
  kernel: "/images/vmlinux",
  initramfs: "/vms/1/initramfs.cpio",
  bootArgs: "console=ttyS0 init=/init",
  disks: [],
  network: { mode: "open", sshForward: true },
};

const DISK: MachineDisk = {
  path: "/vms/1/disk.qcow2",
  format: "qcow2",
  readOnly: false,
  durable: true,
  backing: { path: "/images/root,fs.ext4", format: "raw" },
};

function argumentsOf(changes: Partial<MachineDescription>, features: Partial<QemuFeatures> = {}): string[] {
  return qemuArguments({ ...MACHINE, ...changes }, { ...FEATURES, ...features });
}

/** The values that follow an option, in order. */
function valuesOf(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (args[index - 1] === option ? [arg] : []));
}

function serialPort(index: number, name: string): string {
  return `virtserialport,id=port${index},bus=serial.0,nr=${index + 1},chardev=serial${index},name=${name}`;
}

describe("QEMU's arguments", () => {
  it("for an ordinary machine are these", () => {
    expect(argumentsOf({})).toEqual([
      ...["-name", "guest=swift-otter"],
      ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
      ...["-machine", "q35,vmport=off,smbus=off,sata=off,memory-backend=mem0"],
      ...["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max"],
      ...["-m", "512M", "-object", "memory-backend-ram,id=mem0,size=512M", "-smp", "cpus=2"],
      ...["-kernel", "/images/vmlinux", "-initrd", "/vms/1/initramfs.cpio"],
      ...["-append", kernelCommandLine("console=ttyS0 init=/init", "tcg")],
      ...["-chardev", "socket,fd=3,id=qmp", "-mon", "chardev=qmp,mode=control"],
      ...["-chardev", "socket,fd=4,id=console", "-serial", "chardev:console"],
      ...["-object", "rng-builtin,id=rng0", "-device", "virtio-rng-pci,rng=rng0"],
      ...["-device", "vmgenid,guid=auto"],
      ...["-netdev", "user,id=net0,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22"],
      ...["-device", "virtio-net-pci,netdev=net0,romfile=,guest_announce=off"],
      ...["-device", "virtio-serial-pci,id=serial,max_ports=4"],
      ...["-chardev", "socket,fd=6,id=serial0", "-device", serialPort(0, "smolvm.main")],
      ...["-chardev", "socket,fd=7,id=serial1", "-device", serialPort(1, "smolvm.errors")],
      ...["-chardev", "socket,fd=8,id=serial2", "-device", serialPort(2, "smolvm.identity")],
    ]);
  });

  it.each([
    ["x86_64", "tcg", "q35,vmport=off,smbus=off,sata=off", "tcg,thread=multi,tb-size=128", "max"],
    ["x86_64", "kvm", "q35,vmport=off,smbus=off,sata=off", "kvm", "host"],
    ["x86_64", "hvf", "q35,vmport=off,smbus=off,sata=off", "hvf", "host"],
    ["aarch64", "tcg", "virt,gic-version=max", "tcg,thread=multi,tb-size=128", "max,pauth-impdef=on"],
    ["aarch64", "kvm", "virt,gic-version=max", "kvm", "host"],
    ["aarch64", "hvf", "virt,gic-version=max", "hvf", "host"],
  ] as const)("on %s under %s choose the board and the processor", (arch, accelerator, board, accel, cpu) => {
    const args = argumentsOf({ arch, accelerator });
    expect(valuesOf(args, "-machine")).toEqual([`${board},memory-backend=mem0`]);
    expect(valuesOf(args, "-accel")).toEqual([accel]);
    expect(valuesOf(args, "-cpu")).toEqual([cpu]);
  });

  it.each([
    ["tcg", kernelCommandLine("console=ttyS0", "tcg")],
    ["kvm", "console=ttyS0"],
    ["hvf", "console=ttyS0"],
  ] as const)("under %s give the kernel %j", (accelerator, expected) => {
    expect(valuesOf(argumentsOf({ accelerator, bootArgs: "console=ttyS0" }), "-append")).toEqual([expected]);
  });

  it.each([
    [{ mode: "open", sshForward: true }, ["user,id=net0,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22"]],
    [{ mode: "open", sshForward: false }, ["user,id=net0,ipv6=off"]],
    [{ mode: "off", sshForward: true }, ["user,id=net0,ipv6=off,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]],
    [{ mode: "off", sshForward: false }, ["user,id=net0,ipv6=off,restrict=on"]],
    [null, []],
  ] as const)("for the network %j are %j", (network, expected) => {
    const args = argumentsOf({ network });
    expect(valuesOf(args, "-netdev")).toEqual(expected);
    expect(args.some((arg) => arg.startsWith("virtio-net"))).toBe(network !== null);
  });

  it("leave out what this QEMU can't do, and use what only some can", () => {
    const poor = argumentsOf({}, { sandbox: false, vmgenid: false });
    expect(poor).not.toContain("-sandbox");
    expect(poor.join(" ")).not.toContain("vmgenid");
    expect(valuesOf(argumentsOf({}, { exitWithParent: true }), "-run-with")).toEqual(["exit-with-parent=on"]);
    expect(argumentsOf({})).not.toContain("-run-with");
  });

  it.each([
    [true, "on"],
    [false, "off"],
  ])("take the memory from a file (shared: %s), whatever its path holds", (shared, share) => {
    const args = argumentsOf({ memoryFile: { path: "/t/a,b/memory", shared } });
    expect(valuesOf(args, "-machine")).toEqual(["q35,vmport=off,smbus=off,sata=off,memory-backend=mem0"]);
    expect(valuesOf(args, "-object")[0]).toBe(
      `memory-backend-file,id=mem0,size=512M,mem-path=/t/a,,b/memory,share=${share}`,
    );
  });

  it("for a machine that is restored have the same devices, and nothing to boot", () => {
    const boot = qemuArguments(MACHINE, FEATURES);
    const restore = qemuArguments(MACHINE, FEATURES, undefined, "restore");
    expect(valuesOf(restore, "-device")).toEqual(valuesOf(boot, "-device"));
    expect(valuesOf(restore, "-incoming")).toEqual(["defer"]);
    expect(restore).toContain("-S");
    expect(restore.join(" ")).not.toMatch(/-kernel|-initrd|-append/);
  });

  it("have no initramfs where there is none", () => {
    expect(argumentsOf({ initramfs: null })).not.toContain("-initrd");
  });

  it("let no comma of a name begin another option", () => {
    expect(valuesOf(argumentsOf({ name: "a,process=x" }), "-name")).toEqual(["guest=a,,process=x"]);
    expect(escapeOption("a,,b")).toBe("a,,,,b");
  });

  it("lead to the terminal where a person is to start the same guest", () => {
    const args = qemuArguments(MACHINE, FEATURES, TERMINAL);
    expect(valuesOf(args, "-chardev").slice(0, 2)).toEqual(["null,id=qmp", "stdio,signal=off,id=console"]);
  });
});

describe("the arguments for disks", () => {
  it("name the overlay and its base, whatever the paths hold, and never stop the machine on errors", () => {
    const args = argumentsOf({ disks: [DISK] });
    expect(valuesOf(args, "-blockdev").map((json) => JSON.parse(json))).toEqual([
      {
        driver: "qcow2",
        "node-name": "disk0",
        "read-only": false,
        discard: "unmap",
        "detect-zeroes": "unmap",
        cache: { direct: false, "no-flush": false },
        file: {
          driver: "file",
          filename: "/vms/1/disk.qcow2",
          discard: "unmap",
          cache: { direct: false, "no-flush": false },
        },
        backing: {
          driver: "raw",
          "read-only": true,
          file: { driver: "file", "read-only": true, filename: "/images/root,fs.ext4" },
        },
      },
    ]);
    expect(args).toContain("virtio-blk-pci,id=disk0-device,drive=disk0,werror=report,rerror=report");
  });

  it("ignore flushes only for what dies with its process anyway", () => {
    const [json = "{}"] = valuesOf(argumentsOf({ disks: [{ ...DISK, durable: false }] }), "-blockdev");
    expect(JSON.parse(json)).toMatchObject({
      cache: { "no-flush": true },
      file: { cache: { "no-flush": true } },
    });
  });

  it("name each layer of a disk and what it lies on", () => {
    const lowest = { path: "/b", format: "raw" } as const;
    const backing = {
      path: "/l1",
      format: "qcow2",
      backing: { path: "/l0", format: "qcow2", backing: lowest },
    } as const;
    const [json = "{}"] = valuesOf(argumentsOf({ disks: [{ ...DISK, backing }] }), "-blockdev");
    const layer = (driver: string, filename: string) => ({
      ...{ driver, "read-only": true },
      file: { driver: "file", "read-only": true, filename },
    });
    expect(JSON.parse(json).backing).toEqual({
      ...layer("qcow2", "/l1"),
      backing: { ...layer("qcow2", "/l0"), backing: layer("raw", "/b") },
    });
  });

  it("do not let a qcow2 file choose its own base", () => {
    const [json = "{}"] = valuesOf(argumentsOf({ disks: [{ ...DISK, backing: null }] }), "-blockdev");
    expect(JSON.parse(json)).toHaveProperty("backing", null);
  });

  it("have no base for a raw file, and keep the order of the disks", () => {
    const raw: MachineDisk = { path: "/a.raw", format: "raw", readOnly: true, durable: true, backing: null };
    const nodes = valuesOf(argumentsOf({ disks: [raw, DISK] }), "-blockdev").map((json) => JSON.parse(json));
    expect(nodes.map((node) => node["node-name"])).toEqual(["disk0", "disk1"]);
    expect(nodes[0]).toMatchObject({ driver: "raw", "read-only": true });
    expect(nodes[0]).not.toHaveProperty("backing");
  });
});
