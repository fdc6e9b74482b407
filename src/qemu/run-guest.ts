import { OperationTimeoutError } from "../errors.ts";
import type { StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { bounded } from "../util/bounded.ts";
import type { QemuBinary } from "./binary.ts";
import type { Accelerator } from "./description.ts";
import { launchMachine, type QemuMachine } from "./machine.ts";

/** A guest that does one piece of work and powers off. */
export interface GuestRun {
  readonly arch: Architecture;
  readonly kernel: string;
  readonly initramfs: string;
  readonly bootArgs: string;
  readonly memoryMib: number;
  readonly cpus: number;
  /** Written without waiting for the host's disk: sync the files afterwards if they are to survive a crash of the host. */
  readonly disks: readonly { readonly path: string; readonly format: "raw"; readonly readOnly: boolean }[];
  /** Hears each line of the console. */
  readonly onLine: (line: string) => void;
  /** For the whole run. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface GuestHost {
  readonly state: StatePaths;
  readonly accelerator: Accelerator;
  /** Default: the one that is found on this host. */
  readonly qemu?: QemuBinary;
}

/**
 * Runs a guest without a network until it has said "smolvm: done" and powered off. BootError where it says
 * "smolvm: failed", ends without a word, or takes too long; OperationAbortedError. Nothing is left running.
 */
export async function runGuest(run: GuestRun, host: GuestHost): Promise<void> {
  const deadline = performance.now() + run.timeoutMs;
  const { onLine, timeoutMs, signal, ...machine } = run;
  const disks = machine.disks.map((disk) => ({ ...disk, durable: false, backing: null }));
  const description = {
    ...machine,
    name: "smolvm-task",
    memoryFile: null,
    accelerator: host.accelerator,
    disks,
    network: null,
  };
  const { state, qemu } = host;
  const guest = await launchMachine(description, {
    state,
    ephemeralFolder: null,
    onConsoleLine: onLine,
    signal,
    timeoutMs,
    ...(qemu ? { qemu } : {}),
  });
  try {
    await guest.waitDone({ timeoutMs: Math.max(1, deadline - performance.now()), signal });
    await waitForPoweroff(guest, Math.max(1, deadline - performance.now()), signal);
  } finally {
    await guest.kill();
  }
}

async function waitForPoweroff(guest: QemuMachine, timeoutMs: number, signal: AbortSignal | undefined) {
  try {
    await bounded(guest.exited, { operation: "Powering off the guest", timeoutMs, signal });
  } catch (cause) {
    if (!(cause instanceof OperationTimeoutError)) throw cause;
    throw guest.bootError("The guest was done but did not power off.", { cause });
  }
}
