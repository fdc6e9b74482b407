import { UsageError } from "./command.ts";

/** Exit statuses of smolvm's own; every other one is the guest command's. */
export const STATUS = { misuse: 2, timeout: 124, failed: 125, hungUp: 129, interrupted: 130 } as const;

/** An error as `--json` shows it. The three keys are always there. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly remediation: string | null;
  /** What a command had printed until it was ended. */
  readonly stdout?: string;
  readonly stderr?: string;
  /** What was seen of a machine that did not come up. */
  readonly commandLine?: string;
  readonly qemuOutput?: string;
  readonly consoleTail?: string;
}

/** What an error may tell besides, in the order in which it is shown. */
const FACTS = ["stdout", "stderr", "commandLine", "qemuOutput", "consoleTail"] as const;

/** Options of the library that have another name here, and what they count in. */
const FLAGS: Readonly<Record<string, string>> = {
  memSizeMib: "--memory, in MiB,",
  vcpuCount: "--cpus",
  diskSizeMib: "--disk, in MiB,",
  "hostLimits.memoryMib": "--host-memory, in MiB,",
  "hostLimits.cpus": "--host-cpus",
};

export function describeFailure(error: unknown): Failure {
  if (error instanceof UsageError) return { code: "USAGE", message: error.message, remediation: null };
  const seen = Object(error) as Partial<Record<keyof Failure | "details", unknown>>;
  const { code, remediation } = seen;
  const message = withFlag(seen);
  return {
    code: typeof code === "string" ? code : "INTERNAL",
    message: typeof message === "string" && message !== "" ? message : String(error),
    remediation: typeof remediation === "string" ? remediation : null,
    ...Object.fromEntries(
      FACTS.filter((name) => typeof seen[name] === "string").map((name) => [name, seen[name]]),
    ),
  };
}

function withFlag({ message, details }: { message?: unknown; details?: unknown }): unknown {
  const { option } = Object(details) as { option?: unknown };
  const flag = typeof option === "string" ? FLAGS[option] : undefined;
  if (flag === undefined || typeof message !== "string") return message;
  return message.startsWith(`${option} `) ? `${flag}${message.slice(`${option}`.length)}` : message;
}

export function failureStatus(code: string): number {
  if (code === "USAGE" || code === "VALIDATION") return STATUS.misuse;
  if (code === "OPERATION_TIMEOUT") return STATUS.timeout;
  if (code === "OPERATION_ABORTED") return STATUS.interrupted;
  return STATUS.failed;
}

/** An error as a person reads it, on stderr. What a command had printed has been shown already. */
export function formatFailure({
  message,
  remediation,
  commandLine,
  qemuOutput,
  consoleTail,
}: Failure): string {
  const sections = [
    indented(remediation),
    titled("The end of the guest's console:", consoleTail),
    titled("QEMU's last words:", qemuOutput),
    titled("QEMU's command line:", commandLine),
  ];
  // A line of its own is smolvm's: what a guest or a file is called can't forge one.
  return `smolvm: ${message.trimEnd().replaceAll("\n", "\n  ")}\n${sections.join("")}`;
}

function titled(title: string, text: string | undefined): string {
  return text?.trim() ? `\n${title}\n${indented(text)}` : "";
}

function indented(text: string | null): string {
  return text?.trim() ? `${text.trimEnd().replaceAll(/^/gm, "  ")}\n` : "";
}
