import { HostError } from "../../errors.ts";
import { isFull, remedyForHost } from "../../host/remedies.ts";

/** What the host's files or processes would not do, as an error of ours that says what helps; any other error as it is. */
export function hostTrouble(error: unknown): unknown {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return error;
  const { message, code } = error;
  const what = isFull(code) ? "The host's disk is full" : "The host refused what a machine needs";
  return new HostError(`${what}: ${message}.`, {
    remediation: remedyForHost(code, "path" in error ? error.path : undefined),
    details: { code },
    cause: error,
  });
}

/** For `catch`. */
export function throwHostTrouble(error: unknown): never {
  throw hostTrouble(error);
}
