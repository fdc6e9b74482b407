import { inspect } from "node:util";
import type { SshCommandOptions, SshCommands } from "../ssh/openssh/command-lines.ts";
import { refuse } from "../util/options.ts";
import { listEnvVars, type SetEnvVarsOptions, setEnvVars, unsetEnvVars } from "./command/environment.ts";
import type { WaitForSshOptions } from "./command/reach.ts";
import { answersInTime, canRunCommands, commandContext, sshCommandsOf, waitForSsh } from "./command/reach.ts";
import { Run } from "./command/run.ts";
import type { RunOptions } from "./command/run-options.ts";
import { openShell, type Shell, type ShellOptions } from "./command/shell.ts";
import { showAs } from "./command/shown.ts";
import { sshConfigOf } from "./command/ssh-config.ts";
import { getMachine, type ListFilter, listInfos } from "./find.ts";
import { handleFor, optionsForHandle } from "./handle-for.ts";
import type { Handle } from "./machine/handle.ts";
import { throwHostTrouble } from "./machine/host-trouble.ts";
import type { VMInfo } from "./machine/info.ts";
import type {
  CopyCallOptions,
  SmolVMOptions,
  StartOptions,
  StopOptions,
  VMConfig,
  VMStatus,
} from "./machine/options.ts";
import type { SnapshotInfo } from "./machine/snapshot-info.ts";
import { tellStandstill } from "./machine/standstill.ts";
import type { StatusChange } from "./machine/status.ts";
import { type ForkOptions, forkMachine } from "./snapshot/fork.ts";
import { deleteSnapshot, listSnapshots, prepareRestore, type RestoreOptions } from "./snapshot/snapshots.ts";
import { type LogsOptions, readLogs } from "./watch/logs.ts";
import { type StatusChangesOptions, statusChanges } from "./watch/status-changes.ts";

/** Whether a machine runs and its guest answers over SSH, within that time. */
export let isResponsive: (vm: SmolVM, timeoutMs: number) => Promise<boolean>;

/** A Linux machine of its own: made, used, thrown away. */
export class SmolVM implements AsyncDisposable {
  readonly #handle: Handle;
  readonly #goesWithScope: boolean;

  static {
    isResponsive = (vm, timeoutMs) => answersInTime(vm.#handle, timeoutMs);
  }

  /** Checks the options; allocates nothing, boots nothing. ValidationError names what is wrong. */
  constructor(options?: SmolVMOptions | VMConfig) {
    const { handle, isMaker } = handleFor(options);
    this.#handle = handle;
    this.#goesWithScope = isMaker && !handle.spec.persistent;
  }

  /** A machine that has been started. A start that fails leaves nothing behind. */
  static async create(options?: SmolVMOptions | VMConfig): Promise<SmolVM> {
    return new SmolVM(options).start();
  }

  /** Creates a machine, runs `body` with it and always deletes it; what `body` throws is what is thrown. */
  static async use<T>(options: SmolVMOptions | VMConfig, body: (vm: SmolVM) => Promise<T>): Promise<T> {
    if (typeof body !== "function") throw refuse("body", body, "a function");
    await using vm = await SmolVM.create(options);
    return await body(vm);
  }

  /**
   * A machine that there is already, by its name or id, whichever process made it. Its scope only closes this program's connections.
   * VMNotFoundError, which names the nearest there is.
   */
  static async get(idOrName: string): Promise<SmolVM> {
    return new SmolVM(optionsForHandle(await getMachine(idOrName).catch(throwHostTrouble)));
  }

  /** The machines of this state folder, ephemeral ones of other programs too, by name. One whose record is damaged is in "error". */
  static async list(filter?: ListFilter): Promise<VMInfo[]> {
    return listInfos(filter).catch(throwHostTrouble);
  }

  get id(): string {
    return this.#handle.spec.id;
  }

  get name(): string {
    return this.#handle.spec.name;
  }

  get status(): VMStatus {
    return this.#handle.status.shown.status;
  }

  async info(): Promise<VMInfo> {
    return this.#handle.describe();
  }

  /** How the machine stands now, then each change, whichever process makes it, until it is deleted. */
  statusChanges(options?: StatusChangesOptions): AsyncIterable<StatusChange> {
    return statusChanges(this.#handle, options);
  }

  /** The lines of what the guest's console showed, or of what QEMU said: 2 MiB of each are kept at most. */
  logs(options?: LogsOptions): AsyncIterable<string> {
    return readLogs(this.#handle, options);
  }

  /** Boots the machine, building its image first where that is missing. Running: nothing to do; paused: resumes. BootError, OperationTimeoutError, HostError, ImageError, VMAlreadyExistsError. */
  async start(options: StartOptions = {}): Promise<this> {
    await this.#told(this.#handle.start(options));
    return this;
  }

  /** Shuts the guest down; its disk is kept for the next start(). */
  async stop(options: StopOptions = {}): Promise<void> {
    await this.#told(this.#handle.stop(options));
  }

  /** Stops the guest's processors; its memory and its connections stay. */
  async pause(): Promise<void> {
    await this.#told(this.#handle.pause());
  }

  async resume(): Promise<void> {
    await this.#told(this.#handle.resume());
  }

  /** Ends the machine and removes its process, disk, ports and record. Twice is fine. */
  async delete(): Promise<void> {
    await this.#handle.remove();
  }

  /** Deletes an ephemeral machine that was made here; of any other only this program's connections are closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#goesWithScope) await this.#handle.remove();
    else await this.#handle.close();
  }

  /**
   * Saves memory and disk as they are at one moment, under a name (absent: a readable generated one), while the machine goes on: `pauseMs`
   * says for how long it stood still. SnapshotAlreadyExistsError, ValidationError, VMStateError, OperationTimeoutError, OperationAbortedError.
   */
  async snapshot(name?: string, options: CopyCallOptions = {}): Promise<SnapshotInfo> {
    return this.#told(this.#handle.snapshot(name, options));
  }

  /**
   * Copies of this machine that run, each with a name, machine-id and random numbers of its own; what ran here goes on running there. All
   * of them or none: the first error is thrown, OperationTimeoutError where `timeout` has passed. `count` is 1 by default, 64 at most;
   * several are called name-1, name-2 …
   */
  async fork(options?: ForkOptions): Promise<SmolVM[]> {
    return this.#told(forkMachine(this.#handle, options, (prepared) => new SmolVM(prepared)));
  }

  /**
   * A machine that goes on where a snapshot was taken, as often as wanted and side by side. SnapshotNotFoundError; SmolVMError
   * "SNAPSHOT_DAMAGED", or "SNAPSHOT_UNUSABLE" where this host's QEMU, accelerator or key is another one.
   */
  static async restore(name: string, options?: RestoreOptions): Promise<SmolVM> {
    return new SmolVM(await prepareRestore(name, options).catch(throwHostTrouble)).start();
  }

  /** The newest first. */
  static async listSnapshots(): Promise<SnapshotInfo[]> {
    return listSnapshots().catch(throwHostTrouble);
  }

  /** Machines that were restored from it live on. SnapshotNotFoundError. */
  static async deleteSnapshot(name: string): Promise<void> {
    await deleteSnapshot(name).catch(throwHostTrouble);
  }

  /**
   * Runs a shell script (a string) or a program with its arguments (an array). Await the Run for the result, iterate it for the output as it comes.
   * Rejects with VMStateError, CommandExecutionUnavailableError (it never ran), CommandOutcomeUnknownError (the link broke),
   * OperationTimeoutError, OperationAbortedError or, with `check`, CommandFailedError.
   */
  run(command: string | readonly string[], options?: RunOptions): Run {
    const context = () => commandContext(this.#handle, "run a command in");
    return new Run(context, command, options, (error) => tellStandstill(error, this.#handle));
  }

  /** An interactive terminal in the guest, attachable to any pair of streams. */
  async shell(options?: ShellOptions): Promise<Shell> {
    const context = await commandContext(this.#handle, "open a shell in");
    return this.#told(openShell(context, options));
  }

  /** Sets variables for every login shell from now on; with `merge: false` they replace all others. Returns all names set, sorted. */
  async setEnvVars(vars: Record<string, string>, options?: SetEnvVarsOptions): Promise<string[]> {
    const context = await commandContext(this.#handle, "set variables in");
    return this.#told(setEnvVars(context, vars, options));
  }

  async listEnvVars(): Promise<Record<string, string>> {
    return this.#told(listEnvVars(await commandContext(this.#handle, "list the variables of")));
  }

  /** Returns what was removed; names that weren't set are left out. */
  async unsetEnvVars(names: readonly string[]): Promise<Record<string, string>> {
    const context = await commandContext(this.#handle, "unset variables in");
    return this.#told(unsetEnvVars(context, names));
  }

  /** Waits until an authenticated connection stands: 60 s by default. */
  async waitForSsh(options?: WaitForSshOptions): Promise<void> {
    await this.#told(waitForSsh(this.#handle, options));
  }

  /** Whether this machine starts an SSH server, so that `run` can work once it is up. */
  canRunCommands(): boolean {
    return canRunCommands(this.#handle.spec);
  }

  /** Command lines for the ordinary SSH tools, ready to paste into a shell; the host key is pinned. */
  sshCommands(options?: SshCommandOptions): SshCommands {
    return sshCommandsOf(this.#handle, options);
  }

  /** What `console.log` shows: nothing of its options, which may hold secrets. */
  [inspect.custom](): string {
    const { name, source } = this.#handle.spec;
    const image = source.kind === "image" ? source.name : null;
    return showAs("SmolVM", { id: this.id, name, status: this.status, image });
  }

  /** A "Host" block for OpenSSH's configuration, with which plain `ssh NAME` works; it holds until the machine is stopped. VMStateError. */
  async sshConfig(): Promise<string> {
    return sshConfigOf(this.#handle);
  }

  async #told<T>(work: Promise<T>): Promise<T> {
    return work.catch(async (error) => {
      throw await tellStandstill(error, this.#handle);
    });
  }
}
