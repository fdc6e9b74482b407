import type { QemuMachine } from "../qemu/machine.ts";
import type { HostKey } from "../ssh/keys.ts";
import type { CommandRunner } from "../ssh/runner.ts";
import type { MachinePaths, StatePaths } from "../state/paths.ts";
import type { SavedMachine } from "../state/snapshots.ts";
import type { Logger, SmolVMOptions } from "./options.ts";
import type { Setup } from "./setup.ts";
import type { MachineSpec } from "./spec.ts";
import type { StatusCell } from "./status.ts";

/** All that the verbs (start, stop, remove …) know of one machine. Each field that can be absent is absent together with what it stands for. */
export interface Machine {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly status: StatusCell;
  readonly surroundings: Pick<SmolVMOptions, "onProgress" | "signal"> & { readonly logger: Logger };
  /** The folder that holds the name, the disk and the seeded initramfs; null before the first start and after removal. */
  folder: MachinePaths | null;
  /** What its first start goes on with, instead of booting or cloning a template; null: nothing. */
  readonly origin: SavedMachine | null;
  /** 32 hexadecimal digits, the same at every start. */
  readonly machineId: string;
  /** Made at the first cold start and kept, so that the pinned key stays right. A clone shows the key of its template instead. */
  hostKey: HostKey | null;
  /** The QEMU process and what belongs to this one boot of it. */
  booted: Booted | null;
  /** The start that is under way: a second call waits for the same one. */
  starting: Promise<void> | null;
  abortStart: ((reason: Error) => void) | null;
  stopping: Promise<void> | null;
  /** A copy that is being made of it: nothing may change its state meanwhile. Never rejects. */
  copying: Promise<void> | null;
  removing: Promise<void> | null;
}

/** A machine that is up, whichever way it came there. */
export interface Started {
  readonly qemu: QemuMachine;
  /** Null where the boot arguments start no SSH server. */
  readonly runner: CommandRunner | null;
  /** The public key that its SSH server shows; null where there is none. */
  readonly hostKey: string | null;
}

export interface Booted extends Started {
  readonly setup: Setup;
  readonly report: BootReport;
}

/** What a boot went through. Times in milliseconds. */
export interface BootReport {
  readonly accelerator: "kvm" | "hvf" | "tcg";
  readonly acceleratorReason: string;
  readonly startedAt: string;
  /** "template": started as a clone of a saved machine; "snapshot": restored from one, or a fork; "cold": booted. */
  readonly way: "template" | "snapshot" | "cold";
  /** Why it was booted: for a person; "" where it was not. */
  readonly wayReason: string;
  readonly phases: readonly { readonly name: string; readonly ms: number }[];
}
