import { BootError, OperationAbortedError } from "../errors.ts";
import type { StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import type { QemuBinary } from "./binary.ts";
import type { Accelerator } from "./description.ts";
import { hasHostsWords } from "./host-words.ts";
import { launchMachine } from "./machine.ts";
import { tellingLine } from "./output.ts";
import type { Verdict } from "./verdicts.ts";

/** The smallest guest that says "smolvm: ready". */
export interface TrialGuest {
  readonly kernel: string;
  readonly initramfs: string;
  readonly bootArgs: string;
  /** Of the kernel: another one may behave differently. */
  readonly digest: string;
}

interface Surroundings {
  readonly arch: Architecture;
  readonly state: StatePaths;
  readonly qemu: QemuBinary;
  readonly signal?: AbortSignal | undefined;
}

/** A guest on a working accelerator is up in a second; one that hangs would hang for ever. */
const PATIENCE_MS = 10_000;
const MEMORY_MIB = 192;

/** Boots the guest under that accelerator. Thrown is only what says nothing of it: an abort, and what the host refused. Everything else is a verdict. */
export async function tryAccelerator(
  accelerator: Accelerator,
  guest: TrialGuest,
  { arch, state, qemu, signal }: Surroundings,
): Promise<Verdict> {
  const startedAt = performance.now();
  try {
    const { kernel, initramfs, bootArgs } = guest;
    const machine = await launchMachine(
      {
        ...{ name: "smolvm-trial", arch, accelerator, kernel, initramfs, bootArgs },
        ...{ memoryMib: MEMORY_MIB, memoryFile: null, cpus: 1, disks: [], network: null },
      },
      { state, qemu, ephemeralFolder: null, signal, timeoutMs: PATIENCE_MS },
    );
    try {
      await machine.waitReady({ timeoutMs: PATIENCE_MS, signal });
    } finally {
      await machine.kill();
    }
    return {
      works: true,
      reason: `a guest came up in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    };
  } catch (error) {
    if (error instanceof OperationAbortedError || !(error instanceof BootError)) throw error;
    if (hasHostsWords(error.qemuOutput) || wasKilled(error)) throw error;
    return { works: false, reason: explainFailure(accelerator, error) };
  }
}

/** By somebody, or for the host's want of memory. */
function wasKilled({ details }: BootError): boolean {
  return (details as { endedBy?: unknown }).endedBy === "SIGKILL";
}

function explainFailure(accelerator: Accelerator, { message, qemuOutput }: BootError): string {
  const opens = accelerator === "kvm" ? "/dev/kvm opens, but " : "";
  const happened = message.replace(/\.$/, "").replace(/^The /, "the ");
  const words = tellingLine(qemuOutput);
  return opens + happened + (words === "" || happened.includes(words) ? "" : ` (QEMU said: ${words})`);
}
