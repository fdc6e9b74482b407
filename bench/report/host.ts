import { cpus, loadavg, release, totalmem } from "node:os";
import { captureOutput } from "../processes.ts";

/** What the figures depend on. */
export interface HostFacts {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly kernel: string;
  readonly node: string;
  readonly qemu: string;
  readonly openssh: string;
  /** Processes that wanted to run in the minute before: the bench wants it near 0. */
  readonly loadBefore: number;
}

export async function describeHost(): Promise<HostFacts> {
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  const qemu = await captureOutput([`qemu-system-${arch}`, "--version"]).catch(() => null);
  const ssh = await captureOutput(["ssh", "-V"]).catch(() => null);
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown CPU",
    cpus: cpus().length,
    memoryMib: Math.round(totalmem() / 1024 ** 2),
    kernel: release(),
    node: process.version,
    qemu: /version ([\d.]+)/.exec(qemu?.stdout ?? "")?.[1] ?? "unknown",
    openssh: /^\S+/.exec(ssh?.stderr ?? "")?.[0].replace(/,$/, "") ?? "unknown",
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function formatHost(host: HostFacts, accelerator: string | null): string {
  const guests = accelerator === "tcg" ? "pure emulation (TCG)" : accelerator?.toUpperCase();
  const parts = [
    `${host.cpus} × ${host.cpu}`,
    `QEMU ${host.qemu}`,
    guests,
    `Node ${host.node.replace(/^v/, "")}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}
