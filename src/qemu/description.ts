import type { Architecture } from "../util/architecture.ts";

/** How the guest's instructions are executed: by the processor (Linux, macOS), or by translation. */
export type Accelerator = "kvm" | "hvf" | "tcg";

/** A machine, complete: nothing below fills in defaults. All paths are absolute. */
export interface MachineDescription {
  /** Seen in the host's process list. */
  readonly name: string;
  readonly arch: Architecture;
  readonly accelerator: Accelerator;
  readonly memoryMib: number;
  /** Null: memory that nobody else sees and that goes with QEMU. */
  readonly memoryFile: MemoryFile | null;
  readonly cpus: number;
  readonly kernel: string;
  readonly initramfs: string | null;
  /** Without what only the accelerator asks for: see kernelCommandLine(). */
  readonly bootArgs: string;
  /** The guest sees them in this order: /dev/vda, /dev/vdb … */
  readonly disks: readonly MachineDisk[];
  /** Null: no network device at all, and so no SSH. */
  readonly network: MachineNetwork | null;
}

/** A file as large as the guest's memory. */
export interface MemoryFile {
  readonly path: string;
  /** True: what the guest writes goes into the file. False: the file shows through until the guest writes, and never changes. */
  readonly shared: boolean;
}

export interface MachineDisk {
  readonly path: string;
  readonly format: DiskFormat;
  readonly readOnly: boolean;
  /** False: what the guest has synced may be lost when the host crashes. Faster, for what dies with its process anyway. */
  readonly durable: boolean;
  /** What an overlay lies on; the file's own word for it is not believed. Null: nothing, whatever the file says. */
  readonly backing: DiskLayer | null;
}

/** A file that shows through where those above it have nothing. It is never written to. */
export interface DiskLayer {
  readonly path: string;
  readonly format: DiskFormat;
  /** The next one below. Absent: whatever the file itself says. */
  readonly backing?: DiskLayer;
}

export type DiskFormat = "raw" | "qcow2";

export interface MachineNetwork {
  /** "off": only what the host forwards goes in, and nothing goes out. */
  readonly mode: "open" | "off";
  /** Whether a free port of the host's 127.0.0.1 leads to the guest's port 22. */
  readonly sshForward: boolean;
}
