import type { CommandRunner } from "../../ssh/command/command-runner.ts";
import type { MachinePaths, StatePaths } from "../../state/paths.ts";
import type { SavedMachine } from "../../state/snapshots.ts";

import type { VMInfo } from "./info.ts";
import type { CopyCallOptions, Logger, StartOptions, StopOptions } from "./options.ts";
import type { SnapshotInfo } from "./snapshot-info.ts";
import type { MachineSpec } from "./spec.ts";
import type { StatusCell } from "./status.ts";

/**
 * A machine as the public class sees it: one that this process holds itself (holder/own-machine.ts), or one that another process holds
 * (remote/machine.ts).
 */
export interface Handle {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly status: StatusCell;
  readonly logger: Logger;
  /** Null before the first start and after removal. */
  readonly paths: MachinePaths | null;
  start(options: StartOptions): Promise<void>;
  stop(options: StopOptions): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  remove(): Promise<void>;
  describe(): Promise<VMInfo>;
  /** A start that is under way has ended, well or not. */
  settled(): Promise<void>;
  /** What reaches the guest; the status's refusal unless it is up. */
  reach(verb: string): Reached;
  snapshot(name: string | undefined, options: CopyCallOptions): Promise<SnapshotInfo>;
  /** A copy whose files are the caller's to remove. */
  copy(verb: string, options: CopyOptions): Promise<SavedMachine>;
  /** Closes what this process has open of it, and leaves the machine as it is. */
  close(): Promise<void>;
}

export interface Reached {
  /** Null where the boot arguments start no SSH server. */
  readonly runner: CommandRunner | null;
  readonly sshPort: number | null;
}

export interface CopyOptions {
  /** For all of it together, what it waits for included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}
