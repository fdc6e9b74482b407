import type { BootError } from "../errors.ts";
import type { GuestConsole, GuestIdentity } from "./console.ts";
import { type OfferedLayer, offerLayer } from "./freeze.ts";
import { GuestClock } from "./guest-clock.ts";
import { holdNetwork } from "./hold-network.ts";
import { goOnAs } from "./identity.ts";
import { type CopyUnderWay, copyLive, type LiveCopyOptions } from "./live-copy.ts";
import type { MachineExit, QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";
import { queryStatus, type RunState, runStateOf } from "./qmp/status.ts";
import { type SaveOptions, saveState } from "./save.ts";
import { type SerialPorts, serialPorts } from "./serial-ports.ts";
import { type ShutdownStep, shutDown } from "./shutdown.ts";
import { addForward, countConnections, type Forward } from "./usernet.ts";
import { type WaitOptions, waitForGuest, waitForQuiet, waitForSpeech } from "./wait.ts";

/**
 * A QEMU that answers. Neither the process nor its sockets keep this process's event loop alive: who only
 * holds a machine may exit, and the machine goes with it. Every call that waits does keep it alive.
 */
export class QemuMachine {
  readonly pid: number;
  /** What a person types to start the same guest on a terminal. */
  readonly commandLine: string;
  readonly console: GuestConsole;
  readonly qmp: QmpClient;
  /** The port of the host's 127.0.0.1 that leads to the guest's SSH server; null where none does. */
  readonly sshPort: number | null;
  /** Settles when QEMU is gone; never rejects. */
  readonly exited: Promise<MachineExit>;
  /** Ways to the guest beside the network: they stand as soon as it runs. */
  readonly serial: SerialPorts;
  readonly #process: QemuProcess;
  readonly #sharesMemory: boolean;
  #clock: GuestClock | null = null;

  constructor(process: QemuProcess, qmp: QmpClient, sshPort: number | null, sharesMemory: boolean) {
    this.#sharesMemory = sharesMemory;
    this.pid = process.pid;
    this.commandLine = process.commandLine;
    this.console = process.console;
    this.exited = process.exited;
    this.qmp = qmp;
    this.serial = serialPorts(process.serialStreams, qmp, process.exited);
    this.sshPort = sshPort;
    this.#process = process;
  }

  /**
   * Waits for the guest's "smolvm: ready". BootError with QEMU's command line, its last words and the
   * console's tail where the guest fails, panics, ends, or is not ready in time (its cause is then an
   * OperationTimeoutError); OperationAbortedError. The machine is left as it is.
   */
  async waitReady(options: WaitOptions): Promise<void> {
    await waitForGuest(this.#process, this.qmp, "ready", options);
  }

  /** The same for "smolvm: done", which a guest says that only does one piece of work. */
  async waitDone(options: WaitOptions): Promise<void> {
    await waitForGuest(this.#process, this.qmp, "done", options);
  }

  /**
   * Asks a guest of ours to come to rest, which needs every connection to be closed, and waits until its disk has everything.
   * `staying` is how many processes live on that are no part of it. BootError, also where a clone of it could not be told to be one.
   */
  async waitQuiet(staying: number, options: WaitOptions): Promise<void> {
    await waitForQuiet(this.#process, this.qmp, staying, options);
  }

  /** Asks a guest of ours that is to be copied to show what its kernel notices: copies are told by that. BootError where it does not answer in time. */
  async waitSpeech(options: WaitOptions): Promise<void> {
    await waitForSpeech(this.#process, this.qmp, options);
  }

  /**
   * Lets a restored guest go on as a machine of its own: name, machine-id, clock, random numbers. BootError where it does not answer in
   * time.
   */
  async goOnAs(identity: GuestIdentity, options: WaitOptions): Promise<void> {
    await goOnAs(this.#process, this.qmp, identity, options);
  }

  /**
   * Pauses the machine and writes its state to a file: processors and devices, and the memory unless that lies in a shared
   * file already. It stays paused. SmolVMError "SAVE", which says during what it broke; OperationAbortedError.
   */
  async save(options: SaveOptions): Promise<void> {
    await saveState(this.#process, this.qmp, this.#sharesMemory, options);
  }

  /** The same serial ports for another shell, which comes to them when nobody holds them any more. */
  reopenSerial(): SerialPorts {
    return serialPorts(this.#process.serialStreams, this.qmp, this.#process.exited);
  }

  /** Copies the state of this machine while it runs into `target`, which was launched to receive it. */
  copyInto(target: QemuMachine, options: LiveCopyOptions): CopyUnderWay {
    const end = (machine: QemuMachine) => ({ process: machine.#process, qmp: machine.qmp });
    return copyLive(end(this), end(target), options);
  }

  /** Has QEMU open an empty overlay for the guest's first disk. */
  offerLayer(path: string, durable: boolean): OfferedLayer {
    return offerLayer(this.qmp, { path, durable });
  }

  /** Holds back what the guest sends and what comes for it, until it is let through. Nothing gets lost. */
  async holdNetwork(): Promise<() => Promise<void>> {
    return holdNetwork(this.qmp);
  }

  /** An error that has all there is to know of why this machine is of no use. */
  bootError(
    message: string,
    options: { cause?: unknown; details?: object; remediation?: string } = {},
  ): BootError {
    return this.#process.bootError(message, options);
  }

  /** Where it does not answer in time the outcome is unknown: `onRunChange` tells when it happens all the same. */
  async pause(): Promise<void> {
    await this.qmp.execute("stop");
  }

  /** The same. */
  async resume(): Promise<void> {
    await this.qmp.execute("cont");
  }

  /** How its guest stands, by QEMU's own word, however late it comes. */
  async runState(): Promise<{ readonly state: RunState; readonly word: string }> {
    const word = await queryStatus(this.qmp);
    return { state: runStateOf(word), word };
  }

  /** Hears each time the guest has been stopped or goes on, by us or by something else. */
  onRunChange(listener: (isRunning: boolean) => void): () => void {
    return this.qmp.onEvent(({ name }) => {
      if (name === "STOP" || name === "RESUME") listener(name === "RESUME");
    });
  }

  /** From now on the guest's clock is kept within a second of the host's. `mayTell` says whether it may be told the time, or made to set it. */
  keepClock(mayTell: (kind: "compare" | "set") => boolean): void {
    const clock = new GuestClock(this.console, mayTell);
    this.#clock = clock;
    this.onRunChange((isRunning) => clock.noteRun(isRunning));
    void this.exited.then(() => clock.close());
  }

  /** The clock of a guest that stood still is set again, which is waited for no longer than that. Never rejects. */
  async clockSettled(timeoutMs: number): Promise<void> {
    await this.#clock?.settled(timeoutMs);
  }

  /** Makes a port of the host lead to one of the guest; host port 0 takes a free one. PortInUseError, NetworkError. */
  async addForward(forward: Forward): Promise<Forward> {
    return addForward(this.qmp, forward);
  }

  /** How many connections from the host into the guest stand now. */
  async countConnections(): Promise<number> {
    return countConnections(this.qmp);
  }

  /** Whether QEMU answers, within that time. */
  async answers(timeoutMs: number): Promise<boolean> {
    return this.qmp.execute("query-status", {}, { timeoutMs }).then(
      () => true,
      () => false,
    );
  }

  /**
   * Ends the machine: asks the guest, and when `timeoutMs` has passed QEMU, more and more firmly.
   * Gives the step that it took. A machine that is gone is fine.
   */
  async shutdown(options: { readonly timeoutMs: number }): Promise<ShutdownStep> {
    return shutDown(this.#process, this.qmp, options.timeoutMs);
  }

  /** Ends the machine at once. What the guest had not written is lost. Twice is fine. */
  async kill(): Promise<void> {
    await this.#process.kill();
  }
}
