import type { StatePaths } from "../state/paths.ts";
import { bounded } from "../util/bounded.ts";
import { quoteWord } from "../util/quote.ts";
import { qemuArguments, TERMINAL } from "./arguments.ts";
import { findQemu, type QemuBinary } from "./binary.ts";
import type { MachineDescription } from "./description.ts";
import { QemuProcess } from "./process.ts";
import { QmpClient } from "./qmp/client.ts";
import { restoreState, type SavedState } from "./restore.ts";
import { QemuMachine } from "./running-machine.ts";
import { findSshPort } from "./usernet.ts";

export { QemuMachine };

/** Where output goes. */
interface OutputLog {
  write(bytes: Uint8Array): void;
  close(): void;
}

/** What is known of a QEMU from its first moment on. */
export type LaunchedProcess = Pick<QemuProcess, "pid" | "exit" | "kill">;

export interface LaunchOptions {
  readonly state: StatePaths;
  /** The folder that goes with the machine when this process dies; null for a machine whose files are to be kept. */
  readonly ephemeralFolder: string | null;
  /** The folder to which the process belongs, for those who look for what was left. Default: nobody's. */
  readonly owner?: string;
  /** Take down what the guest's console shows and what QEMU says. Closed when QEMU is gone. */
  readonly logs?: { readonly console: OutputLog; readonly qemu: OutputLog };
  /** Restores this instead of booting; the machine is paused then. Its devices must be the ones it was saved with. */
  readonly saved?: SavedState;
  /** Starts empty, to receive another machine's state: see `copyInto`. */
  readonly receives?: boolean;
  /** Hears each line of the guest's console, from the first one on. */
  readonly onConsoleLine?: (line: string) => void;
  /** Called as soon as QEMU runs, before it has answered. */
  readonly onSpawned?: (process: LaunchedProcess) => void;
  readonly signal?: AbortSignal | undefined;
  /** For QEMU's own start, without the guest's. Default 30 s. */
  readonly timeoutMs?: number;
  /** Default: the one that is found on this host. */
  readonly qemu?: QemuBinary;
}

/**
 * A QEMU that is up and answers; its guest has only begun to boot, or is restored and paused. Throws HostError (no QEMU),
 * BootError (QEMU ended, or does not answer or restore in time), OperationAbortedError. Nothing is left where it throws, unless that is
 * because QEMU can't be ended.
 */
export async function launchMachine(
  description: MachineDescription,
  options: LaunchOptions,
): Promise<QemuMachine> {
  const qemu = options.qemu ?? (await findQemu(description.arch, options.state));
  const { signal, timeoutMs = 30_000, onConsoleLine, onSpawned, saved, ephemeralFolder } = options;
  const begin = saved || options.receives ? "restore" : "boot";
  const args = qemuArguments(description, qemu.features, undefined, begin);
  const commandLine = [qemu.path, ...qemuArguments(description, qemu.features, TERMINAL, begin)]
    .map(quoteWord)
    .join(" ");
  const files = saved ? [saved.fd] : [];
  const handed = { ephemeralFolder, files, owner: options.owner ?? null, timeoutMs, signal };
  const process = await QemuProcess.start([qemu.path, ...args], commandLine, handed);
  if (options.logs) takeDown(process, options.logs);
  onSpawned?.(process);
  if (onConsoleLine) process.console.onLine(onConsoleLine);
  try {
    const qmp = await process.whileAlive(QmpClient.connect(process.qmpStream, { signal, timeoutMs }));
    const forwards = description.network?.sshForward ?? false;
    const [sshPort] = await process.whileAlive(
      bounded(Promise.all([forwards ? findSshPort(qmp) : null, saved && restoreState(qmp, saved)]), {
        operation: saved ? "Restoring the machine" : "Starting QEMU",
        timeoutMs,
        signal,
      }),
    );
    return new QemuMachine(process, qmp, sshPort, description.memoryFile?.shared ?? false);
  } catch (error) {
    throw await process.abandon(
      error,
      saved ? "The saved machine could not be restored" : "QEMU did not start",
    );
  }
}

function takeDown(
  process: QemuProcess,
  logs: { readonly console: OutputLog; readonly qemu: OutputLog },
): void {
  process.console.onBytes((bytes) => logs.console.write(bytes));
  process.onOutput((bytes) => logs.qemu.write(bytes));
  void process.exited.then(() => {
    logs.console.close();
    logs.qemu.close();
  });
}
