import type { Socket } from "node:net";
import { BootError, HostError, OperationAbortedError, type SmolVMError } from "../errors.ts";
import type { ExitInfo } from "../host/exit-info.ts";
import { type GuardedProcess, inheritedFd, spawnGuarded } from "../host/guarded-process.ts";
import { bounded } from "../util/bounded.ts";
import { tameWords } from "../util/tame.ts";
import { GuestConsole } from "./console.ts";
import { ended, readOutput, tellingLine } from "./output.ts";
import { QmpError } from "./qmp/error.ts";

/** QMP, the console, and the three serial ports. */
const CHANNELS = 5;
/** The number under which QEMU finds the first open file that it is handed down. */
export const FIRST_FILE_FD = inheritedFd(CHANNELS);

/** How QEMU ended. */
export interface MachineExit extends ExitInfo {
  /** One sentence, for a person. */
  readonly reason: string;
}

/** One QEMU, whether it answers or not. */
export class QemuProcess {
  readonly pid: number;
  /** What a person types to start the same guest on a terminal. */
  readonly commandLine: string;
  readonly console: GuestConsole;
  readonly qmpStream: Socket;
  readonly serialStreams: readonly [Socket, Socket];
  /** Settles when QEMU is gone and its last words are here; never rejects. */
  readonly exited: Promise<MachineExit>;
  readonly #guarded: GuardedProcess;
  readonly #output: () => string;
  #exit: MachineExit | null = null;

  private constructor(guarded: GuardedProcess, commandLine: string) {
    const [qmpStream, consoleStream, main, errors, identity] = guarded.channels;
    if (!qmpStream || !consoleStream || !main || !errors || !identity)
      throw new HostError("QEMU was started without its sockets.");
    this.pid = guarded.pid;
    this.commandLine = commandLine;
    this.qmpStream = qmpStream;
    this.serialStreams = [main, errors];
    this.console = new GuestConsole(consoleStream, identity);
    this.#guarded = guarded;
    this.#output = readOutput(guarded);
    this.exited = this.#waitForExit();
  }

  static async start(
    argv: readonly string[],
    commandLine: string,
    handed: {
      readonly ephemeralFolder: string | null;
      readonly files: readonly number[];
      readonly owner: string | null;
      readonly timeoutMs: number;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<QemuProcess> {
    return new QemuProcess(await spawnGuarded(argv, { ...handed, channels: CHANNELS }), commandLine);
  }

  /** Null while QEMU lives. */
  get exit(): MachineExit | null {
    return this.#exit;
  }

  /** What `work` gives; BootError where QEMU ends first. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const death = this.exited.then(({ reason }) => Promise.reject(this.bootError(reason)));
    return Promise.race([work, death]);
  }

  sendSignal(signal: NodeJS.Signals): void {
    this.#guarded.sendSignal(signal);
  }

  /** Hears what QEMU itself says from now on. */
  onOutput(listener: (bytes: Buffer) => void): void {
    for (const stream of [this.#guarded.stdout, this.#guarded.stderr]) stream.on("data", listener);
  }

  /** Ends QEMU without asking it or the guest, and waits until it is gone. Twice is fine. */
  async kill(): Promise<void> {
    await this.#guarded.end();
    await this.exited;
  }

  /** An error that has all there is to know about why a machine does not come up. */
  bootError(
    message: string,
    options: { cause?: unknown; details?: object; remediation?: string } = {},
  ): BootError {
    const seen = {
      commandLine: this.commandLine,
      qemuOutput: this.#output(),
      consoleTail: this.console.tail,
    };
    return new BootError(message, seen, options);
  }

  /** Ends a QEMU whose start has failed, and tells why it did, behind `headline`. */
  async abandon(failure: unknown, headline: string): Promise<SmolVMError> {
    if (failure instanceof QmpError) {
      // When the conversation breaks off, QEMU mostly is about to end by itself: its own end tells more than ours.
      await bounded(this.exited, { operation: "Ending QEMU", timeoutMs: 1_000 }).catch(() => {});
    }
    const ownExit = this.#exit;
    await this.kill().catch(() => {}); // that it could not be ended is seen by `exit`
    if (failure instanceof BootError || failure instanceof OperationAbortedError) return failure;
    const words = tellingLine(this.#output());
    const known = { cause: failure, details: { endedBy: ownExit?.signal ?? null } };
    if (ownExit && words === "") return this.bootError(ownExit.reason, known);
    const why = words || (failure instanceof Error ? failure.message : String(failure));
    return this.bootError(`${headline}: ${ended(why)}`, known);
  }

  async #waitForExit(): Promise<MachineExit> {
    const info = await this.#guarded.exited;
    await bounded(this.console.closed, { operation: "", timeoutMs: 250 }).catch(() => {});
    this.console.close();
    this.qmpStream.destroy();
    this.#exit = { ...info, reason: exitReason(info, this.#output(), this.console.tail) };
    return this.#exit;
  }
}

function exitReason({ exitCode, signal }: ExitInfo, output: string, consoleTail: string): string {
  const panic = /Kernel panic - not syncing: (.*)/.exec(consoleTail)?.[1];
  if (panic) return `The guest's kernel panicked: ${ended(tameWords(panic))}`;
  // Its memory is a file that has holes, or was cut short.
  if (signal === "SIGBUS")
    return "QEMU was ended by SIGBUS. That happens where the disk of the state folder is full: look whether it is.";
  if (signal) return `QEMU was ended by ${signal}.`;
  if (exitCode === 0) return "The guest powered off or restarted, and QEMU ended.";
  return `QEMU ended with exit code ${exitCode}: ${ended(tellingLine(output) || "it said nothing")}`;
}
