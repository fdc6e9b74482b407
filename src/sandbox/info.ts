import type { BootReport, Machine } from "./machine.ts";
import type { VMStatus } from "./options.ts";

/** What is known of a machine at this moment. */
export interface VMInfo {
  readonly id: string;
  readonly name: string;
  readonly status: VMStatus;
  /** Why the status is "error"; else null. */
  readonly statusReason: string | null;
  /** The image's name; null for one's own kernel and disk. */
  readonly image: string | null;
  readonly memSizeMib: number;
  readonly vcpuCount: number;
  readonly diskSizeMib: number;
  readonly network: "open" | "off";
  readonly labels: Readonly<Record<string, string>>;
  /** The process id of QEMU, its port for SSH on 127.0.0.1 and what the boot went through; null where it isn't running. */
  readonly pid: number | null;
  readonly sshPort: number | null;
  readonly boot: BootReport | null;
}

export function describeMachine({ spec, status, booted }: Machine): VMInfo {
  return {
    id: spec.id,
    name: spec.name,
    status: shownStatus(status.phase),
    statusReason: status.reason || null,
    image: spec.source.kind === "image" ? spec.source.name : null,
    memSizeMib: spec.memoryMib,
    vcpuCount: spec.cpus,
    diskSizeMib: spec.diskMib,
    network: spec.network,
    labels: spec.labels,
    pid: booted?.qemu.pid ?? null,
    sshPort: booted?.qemu.sshPort ?? null,
    boot: booted?.report ?? null,
  };
}

/** A deleted machine shows as stopped: nothing of it runs, and each call on it says that it is deleted. */
export function shownStatus(phase: Machine["status"]["phase"]): VMStatus {
  return phase === "deleted" ? "stopped" : phase;
}
