import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import { HostError } from "../errors.ts";
import { here } from "../host/place.ts";
import { hostArch } from "../host/platform.ts";
import type { StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { findQemu, type QemuBinary } from "./binary.ts";
import type { Accelerator } from "./description.ts";
import { type TrialGuest, tryAccelerator } from "./trial.ts";
import { keepVerdict, recallVerdict, type TrialKey, type Verdict } from "./verdicts.ts";

export interface AcceleratorRequest {
  readonly requested: "auto" | Accelerator;
  readonly arch: Architecture;
  readonly state: StatePaths;
  /** Gives the guest to try with; only called where something has to be tried or recalled. */
  readonly trialGuest: () => Promise<TrialGuest>;
  /** Try again what was found out before. Default false. */
  readonly fresh?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Default: the one that is found on this host. */
  readonly qemu?: QemuBinary;
  /** Default "/dev/kvm". */
  readonly kvmDevice?: string;
}

export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  /** Why this one, and why no faster one: for a person. */
  readonly reason: string;
  /** Every accelerator that was looked at, the fastest first. */
  readonly candidates: readonly Candidate[];
}

interface Candidate extends Verdict {
  readonly accelerator: Accelerator;
  /** What would help, where something would. */
  readonly remediation?: string;
}

/**
 * Chooses by trying: the fastest accelerator under which a small guest really comes up. What was found out is
 * kept until the host is started again, or QEMU or the kernel change. HostError where one was asked for by
 * name and does not work.
 */
export async function chooseAccelerator(request: AcceleratorRequest): Promise<AcceleratorChoice> {
  const qemu = request.qemu ?? (await findQemu(request.arch, request.state));
  const candidates: Candidate[] = [];
  for (const accelerator of candidatesFor(request.requested, process.platform)) {
    const candidate = await judge(accelerator, request, qemu);
    candidates.push(candidate);
    if (candidate.works) return { accelerator, reason: reasonFor(candidates), candidates };
  }
  throw doesNotWork(candidates);
}

/** What to look at, the fastest first. */
export function candidatesFor(
  requested: "auto" | Accelerator,
  platform: NodeJS.Platform,
): readonly Accelerator[] {
  if (requested !== "auto") return [requested];
  if (platform === "linux") return ["kvm", "tcg"];
  return platform === "darwin" ? ["hvf", "tcg"] : ["tcg"];
}

async function judge(
  accelerator: Accelerator,
  request: AcceleratorRequest,
  qemu: QemuBinary,
): Promise<Candidate> {
  if (accelerator === "tcg") return { accelerator, works: true, reason: "QEMU emulates the processor" };
  const obstacle = await findObstacle(accelerator, qemu, request.kvmDevice ?? "/dev/kvm");
  if (obstacle) return { accelerator, works: false, ...obstacle };
  const guest = await request.trialGuest();
  const key: TrialKey = {
    accelerator,
    bootId: here().bootId || randomUUID(), // where that is not told, nothing can be kept
    qemu: `${qemu.path} ${qemu.features.version}`,
    kernel: guest.digest,
  };
  const known = request.fresh ? undefined : await recallVerdict(request.state.verdicts, key);
  if (known) return { accelerator, ...known };
  const verdict = await tryAccelerator(accelerator, guest, { ...request, qemu });
  await keepVerdict(request.state.verdicts, key, verdict).catch(() => {}); // the next start tries again
  return { accelerator, ...verdict };
}

/** What makes a trial pointless. */
async function findObstacle(
  accelerator: "kvm" | "hvf",
  qemu: QemuBinary,
  kvmDevice: string,
): Promise<{ reason: string; remediation?: string } | undefined> {
  if (qemu.arch !== hostArch()) {
    return { reason: `the guest is ${qemu.arch} and this host is ${hostArch()}` };
  }
  if (!qemu.features.accelerators.includes(accelerator)) {
    return { reason: `${qemu.path} was built without it` };
  }
  return accelerator === "kvm" ? findKvmObstacle(kvmDevice) : undefined;
}

async function findKvmObstacle(device: string): Promise<{ reason: string; remediation: string } | undefined> {
  try {
    await (await open(device, "r+")).close();
    return undefined;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return explainKvm(device, code);
  }
}

/** From the error code of opening KVM's device. */
export function explainKvm(device: string, code: string): { reason: string; remediation: string } {
  if (code === "ENOENT") {
    return {
      reason: `there is no ${device} on this host`,
      remediation:
        "Switch virtualization on in the firmware (in a virtual machine: nested virtualization), then: sudo modprobe kvm",
    };
  }
  if (code === "EACCES" || code === "EPERM") {
    return {
      reason: `this user may not open ${device}`,
      remediation: 'sudo usermod -aG kvm "$USER", then log in again',
    };
  }
  return { reason: `${device} can't be opened: ${code}`, remediation: "sudo modprobe kvm" };
}

function reasonFor(candidates: readonly Candidate[]): string {
  return candidates.map(({ accelerator, reason }) => `${accelerator}: ${reason}`).join("; ");
}

function doesNotWork(candidates: readonly Candidate[]): HostError {
  const [first] = candidates;
  return new HostError(
    `The accelerator "${first?.accelerator}" does not work on this host: ${first?.reason}.`,
    {
      remediation: first?.remediation ?? 'Leave the accelerator out, or choose "tcg".',
      details: { candidates },
    },
  );
}
