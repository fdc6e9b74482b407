import type { SshCommandOptions, SshCommands } from "../ssh/commands.ts";
import { listEnvVars, type SetEnvVarsOptions, setEnvVars, unsetEnvVars } from "./environment.ts";
import { type ForkOptions, forkMachine } from "./fork.ts";
import { describeMachine, shownStatus, type VMInfo } from "./info.ts";
import type { Machine } from "./machine.ts";
import { newMachine } from "./new-machine.ts";
import type { SmolVMOptions, StartOptions, StopOptions, VMConfig, VMStatus } from "./options.ts";
import { pauseMachine, resumeMachine } from "./pause.ts";
import type { WaitForSshOptions } from "./reach.ts";
import { answersInTime, canRunCommands, commandContext, sshCommandsOf, waitForSsh } from "./reach.ts";
import { Run } from "./run.ts";
import type { RunOptions } from "./run-options.ts";
import { openShell, type Shell, type ShellOptions } from "./shell.ts";
import {
  type CopyCallOptions,
  deleteSnapshot,
  listSnapshots,
  prepareRestore,
  type RestoreOptions,
  type SnapshotInfo,
  snapshotMachine,
} from "./snapshots.ts";
import { startMachine } from "./start.ts";
import { removeMachine, stopMachine } from "./stop.ts";

/** Whether a machine runs and its guest answers over SSH, within that time. */
export let isResponsive: (vm: SmolVM, timeoutMs: number) => Promise<boolean>;

/** A Linux machine of its own: made, used, thrown away. */
export class SmolVM implements AsyncDisposable {
  readonly #machine: Machine;

  static {
    isResponsive = (vm, timeoutMs) => answersInTime(vm.#machine, timeoutMs);
  }

  /** Checks the options; allocates nothing, boots nothing. ValidationError names what is wrong. */
  constructor(options?: SmolVMOptions | VMConfig) {
    this.#machine = newMachine(options);
  }

  /** A machine that has been started. A start that fails leaves nothing behind. */
  static async create(options?: SmolVMOptions | VMConfig): Promise<SmolVM> {
    return new SmolVM(options).start();
  }

  /** Creates a machine, runs `body` with it and always deletes it; what `body` throws is what is thrown. */
  static async use<T>(options: SmolVMOptions | VMConfig, body: (vm: SmolVM) => Promise<T>): Promise<T> {
    await using vm = await SmolVM.create(options);
    return await body(vm);
  }

  get id(): string {
    return this.#machine.spec.id;
  }

  get name(): string {
    return this.#machine.spec.name;
  }

  get status(): VMStatus {
    return shownStatus(this.#machine.status.phase);
  }

  async info(): Promise<VMInfo> {
    return describeMachine(this.#machine);
  }

  /** Boots the machine, building its image first where that is missing. Running: nothing to do; paused: resumes. BootError, HostError, ImageError, VMAlreadyExistsError. */
  async start(options?: StartOptions): Promise<this> {
    await startMachine(this.#machine, options);
    return this;
  }

  /** Shuts the guest down; its disk is kept for the next start(). */
  async stop(options?: StopOptions): Promise<void> {
    await stopMachine(this.#machine, options);
  }

  async pause(): Promise<void> {
    await pauseMachine(this.#machine);
  }

  async resume(): Promise<void> {
    await resumeMachine(this.#machine);
  }

  /** Ends the machine and removes its process, disk, ports and record. Twice is fine. */
  async delete(): Promise<void> {
    await removeMachine(this.#machine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.delete();
  }

  /**
   * Saves memory and disk as they are at one moment, under a name (absent: a readable generated one), while the machine goes on: `pauseMs`
   * says for how long it stood still. SnapshotAlreadyExistsError, ValidationError, VMStateError, OperationAbortedError.
   */
  async snapshot(name?: string, options?: CopyCallOptions): Promise<SnapshotInfo> {
    return snapshotMachine(this.#machine, name, options);
  }

  /**
   * Copies of this machine that run, each with a name, machine-id and random numbers of its own; what ran here goes on running there. All
   * of them or none: the first error is thrown. `count` is 1 by default, 64 at most; several are called name-1, name-2 …
   */
  async fork(options?: ForkOptions): Promise<SmolVM[]> {
    return forkMachine(this.#machine, options, (prepared) => new SmolVM(prepared));
  }

  /**
   * A machine that goes on where a snapshot was taken, as often as wanted and side by side. SnapshotNotFoundError; SmolVMError
   * "SNAPSHOT_DAMAGED", or "SNAPSHOT_UNUSABLE" where this host's QEMU, accelerator or key is another one.
   */
  static async restore(name: string, options?: RestoreOptions): Promise<SmolVM> {
    return new SmolVM(await prepareRestore(name, options)).start();
  }

  /** The newest first. */
  static async listSnapshots(): Promise<SnapshotInfo[]> {
    return listSnapshots();
  }

  /** Machines that were restored from it live on. SnapshotNotFoundError. */
  static async deleteSnapshot(name: string): Promise<void> {
    await deleteSnapshot(name);
  }

  /**
   * Runs a shell script (a string) or a program with its arguments (an array). Await the Run for the result, iterate it for the output as it comes.
   * Rejects with VMStateError, CommandExecutionUnavailableError (it never ran), CommandOutcomeUnknownError (the link broke),
   * OperationTimeoutError, OperationAbortedError or, with `check`, CommandFailedError.
   */
  run(command: string | readonly string[], options?: RunOptions): Run {
    return new Run(() => commandContext(this.#machine, "run a command in"), command, options);
  }

  /** An interactive terminal in the guest, attachable to any pair of streams. */
  async shell(options?: ShellOptions): Promise<Shell> {
    return openShell(await commandContext(this.#machine, "open a shell in"), options);
  }

  /** Sets variables for every login shell from now on; with `merge: false` they replace all others. Returns all names set, sorted. */
  async setEnvVars(vars: Record<string, string>, options?: SetEnvVarsOptions): Promise<string[]> {
    return setEnvVars(await commandContext(this.#machine, "set variables in"), vars, options);
  }

  async listEnvVars(): Promise<Record<string, string>> {
    return listEnvVars(await commandContext(this.#machine, "list the variables of"));
  }

  /** Returns what was removed; names that weren't set are left out. */
  async unsetEnvVars(names: readonly string[]): Promise<Record<string, string>> {
    return unsetEnvVars(await commandContext(this.#machine, "unset variables in"), names);
  }

  /** Waits until an authenticated connection stands: 60 s by default. */
  async waitForSsh(options?: WaitForSshOptions): Promise<void> {
    await waitForSsh(this.#machine, options);
  }

  /** Whether this machine starts an SSH server, so that `run` can work once it is up. */
  canRunCommands(): boolean {
    return canRunCommands(this.#machine);
  }

  /** Command lines for the ordinary SSH tools, ready to paste into a shell; the host key is pinned. */
  sshCommands(options?: SshCommandOptions): SshCommands {
    return sshCommandsOf(this.#machine, options);
  }
}
