import { quoteWord } from "../ssh/quote.ts";
import type { StatePaths } from "../state/paths.ts";
import { qemuArguments, TERMINAL } from "./arguments.ts";
import { findQemu, type QemuBinary } from "./binary.ts";
import type { MachineDescription } from "./description.ts";
import { QemuProcess } from "./process.ts";
import { QmpClient } from "./qmp/client.ts";
import { QemuMachine } from "./running-machine.ts";
import { findSshPort } from "./usernet.ts";

export { QemuMachine };

export interface LaunchOptions {
  readonly state: StatePaths;
  /** The folder that goes with the machine when this process dies; null for a machine whose files are to be kept. */
  readonly ephemeralFolder: string | null;
  /** Hears each line of the guest's console, from the first one on. */
  readonly onConsoleLine?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** For QEMU's own start, without the guest's. Default 30 s. */
  readonly timeoutMs?: number;
  /** Default: the one that is found on this host. */
  readonly qemu?: QemuBinary;
}

/**
 * A QEMU that is up and answers; its guest has only begun to boot. Throws HostError (no QEMU), BootError
 * (QEMU ended, or does not answer in time), OperationAbortedError. Nothing is left where it throws.
 */
export async function launchMachine(
  description: MachineDescription,
  options: LaunchOptions,
): Promise<QemuMachine> {
  const qemu = options.qemu ?? (await findQemu(description.arch, options.state));
  const args = qemuArguments(description, qemu.features);
  const commandLine = [qemu.path, ...qemuArguments(description, qemu.features, TERMINAL)]
    .map(quoteWord)
    .join(" ");
  const process = await QemuProcess.start([qemu.path, ...args], commandLine, options.ephemeralFolder);
  const { signal, timeoutMs = 30_000, onConsoleLine } = options;
  if (onConsoleLine) process.console.onLine(onConsoleLine);
  try {
    const qmp = await process.whileAlive(QmpClient.connect(process.qmpStream, { signal, timeoutMs }));
    const forwards = description.network?.sshForward ?? false;
    const sshPort = forwards ? await process.whileAlive(findSshPort(qmp)) : null;
    return new QemuMachine(process, qmp, sshPort);
  } catch (error) {
    throw await process.abandon(error);
  }
}
