import { UsageError } from "./command.ts";

/** Exit statuses of smolvm's own; every other one is the guest command's. */
export const STATUS = { misuse: 2, timeout: 124, failed: 125, interrupted: 130 } as const;

/** An error as `--json` shows it. The three keys are always there. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly remediation: string | null;
  /** What a command had printed until it was ended. */
  readonly stdout?: string;
  readonly stderr?: string;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof UsageError) return { code: "USAGE", message: error.message, remediation: null };
  const { code, message, remediation, stdout, stderr } = Object(error) as Partial<
    Record<keyof Failure, unknown>
  >;
  return {
    code: typeof code === "string" ? code : "INTERNAL",
    message: typeof message === "string" && message !== "" ? message : String(error),
    remediation: typeof remediation === "string" ? remediation : null,
    ...(typeof stdout === "string" ? { stdout } : {}),
    ...(typeof stderr === "string" ? { stderr } : {}),
  };
}

export function failureStatus(code: string): number {
  if (code === "USAGE" || code === "VALIDATION") return STATUS.misuse;
  if (code === "OPERATION_TIMEOUT") return STATUS.timeout;
  if (code === "OPERATION_ABORTED") return STATUS.interrupted;
  return STATUS.failed;
}

/** An error as a person reads it, on stderr. */
export function formatFailure({ message, remediation }: Failure): string {
  return `smolvm: ${message}\n${remediation === null ? "" : `  ${remediation.replaceAll("\n", "\n  ")}\n`}`;
}
