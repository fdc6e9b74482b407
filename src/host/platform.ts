import { readFileSync } from "node:fs";
import { arch, cpus, release } from "node:os";
import { HostError } from "../errors.ts";
import type { Architecture } from "../util/architecture.ts";

/** The architecture of this host; HostError where no guest of ours could ever match it. */
export function hostArch(nodeArch: string = arch()): Architecture {
  if (nodeArch === "x64") return "x86_64";
  if (nodeArch === "arm64") return "aarch64";
  throw new HostError(`This host's processor architecture, ${nodeArch}, is not supported.`, {
    remediation: "Use a 64-bit x86 or ARM host.",
  });
}

/** What a guest sees of this host's processor where its instructions run on it: its model, its abilities, and the kernel that lets them through. */
export function hostProcessor(): string {
  const flags = process.platform === "linux" ? linuxProcessorFlags() : "";
  return [cpus()[0]?.model ?? "unknown", flags, release()].join("; ");
}

/** One line of x86's ("flags") or ARM's ("Features") processor information. */
function linuxProcessorFlags(): string {
  return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
}
