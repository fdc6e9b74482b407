import type { VMStateError } from "../../errors.ts";
import type { ProcessIdentity } from "../../host/process-identity.ts";
import type { LaunchedProcess, QemuMachine } from "../../qemu/machine.ts";
import type { CommandRunner } from "../../ssh/command/command-runner.ts";
import type { HostKey } from "../../ssh/openssh/keys.ts";
import type { HeldFiles } from "../../state/held-files.ts";
import type { BootReport, MachineRecord } from "../../state/machine-record.ts";
import type { MachinePaths, StatePaths } from "../../state/paths.ts";
import type { SavedMachine } from "../../state/snapshots.ts";
import type { Setup } from "./boot-setup.ts";
import type { Logger, SmolVMOptions } from "./options.ts";
import type { MachineSpec } from "./spec.ts";
import type { StatusCell } from "./status.ts";

export type { BootReport };

/**
 * All that the verbs (start, stop, remove …) know of one machine, in the process that holds it: its creator, or the supervisor of a
 * persistent one. Each field that can be absent is absent together with what it stands for.
 */
export interface Machine {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly status: StatusCell;
  readonly surroundings: Pick<SmolVMOptions, "onProgress" | "signal"> & { readonly logger: Logger };
  /** ISO 8601. */
  readonly createdAt: string;
  /** Writes down what is known here for other processes. */
  readonly records: Records;
  /** The folder that holds the name, the disk and the seeded initramfs; null before the first start and after removal. */
  folder: MachinePaths | null;
  /** This process, as soon as it holds the folder. */
  owner: ProcessIdentity | null;
  /** Whether it has ever been up: until then a start that fails leaves nothing. */
  wasBooted: boolean;
  /** What its first start goes on with, instead of booting or cloning a template; null: nothing. */
  origin: SavedMachine | null;
  /** What it boots from at each start, as soon as that is known. */
  held: HeldFiles | null;
  /** 32 hexadecimal digits, the same at every start. */
  readonly machineId: string;
  /** Made at the first cold start and kept, so that the pinned key stays right. A clone shows the key of its template instead. */
  hostKey: HostKey | null;
  /** The QEMU process and what belongs to this one boot of it. */
  booted: Booted | null;
  /** A boot whose QEMU may still live and write to the disk. */
  unended: Unended | null;
  /** The last QEMU that a start has launched. */
  launched: LaunchedProcess | null;
  /** The start that is under way: a second call waits for the same one. */
  starting: Promise<void> | null;
  abortStart: ((reason: Error) => void) | null;
  stopping: Promise<void> | null;
  /** A copy that is being made of it: nothing may change its state meanwhile. Never rejects. */
  copying: Promise<void> | null;
  removing: Promise<void> | null;
}

/** Where others learn how a machine stands. */
export interface Records {
  /** Hears of each record, whether or not it could be written. Gives back how to stop listening. */
  onRecord(listener: (record: MachineRecord) => void): () => void;
  /** Something has changed. */
  note(machine: Machine): void;
  /** Tells a newcomer how the machine stands, in turn with what the others are told: nobody hears of an earlier state after a later one. */
  tellFirst(machine: Machine, tell: (record: MachineRecord) => void): Promise<void>;
  /** What has been noted is written down. Never rejects. */
  settled(): Promise<void>;
  /** Nothing is written any more: another one may hold the machine's name by then. */
  close(): Promise<void>;
}

/** A machine that is up, however it came there. */
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
  /** What its QEMU may take of the host; null where nothing limits it. */
  readonly limits: HostLimit | null;
}

/** Of a start that failed no more is known than its process. */
export interface Unended extends Pick<Booted, "runner" | "hostKey" | "limits"> {
  readonly qemu: Pick<QemuMachine, "pid" | "sshPort" | "kill"> & {
    shutdown(options: { readonly timeoutMs: number }): Promise<unknown>;
  };
  readonly report: BootReport | null;
}

/** The running QEMU and what belongs to it; VMStateError where there is none. */
export function bootedOf(machine: Machine, verb: string): Booted {
  if (machine.booted) return machine.booted;
  throw machine.status.refusal(verb) satisfies VMStateError;
}

/** Whether one was launched that has not been seen to end: with another one beside it, two would write to one disk. */
export function isUnended(launched: LaunchedProcess | null): launched is LaunchedProcess {
  return launched !== null && launched.exit === null;
}

/** A cgroup that holds one QEMU. */
export interface HostLimit {
  readonly folder: string;
  /** Once it is empty. Never rejects. */
  remove(): Promise<void>;
}
