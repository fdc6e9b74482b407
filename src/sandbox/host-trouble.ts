import { HostError } from "../errors.ts";

const FULL = new Set(["ENOSPC", "EDQUOT"]);

/** What the host's files or processes would not do, as an error of ours that says what helps; any other error as it is. */
export function hostTrouble(error: unknown): unknown {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return error;
  const { message, code } = error;
  const isFull = FULL.has(String(code));
  return new HostError(
    `${isFull ? "The host's disk is full" : "The host refused what a machine needs"}: ${message}.`,
    {
      remediation: isFull
        ? "Free space on the disk of the state folder (SMOLVM_HOME, else ~/.smolvm), for example with: smolvm prune"
        : "Check that the state folder (SMOLVM_HOME, else ~/.smolvm) is this user's, and the limits of this user.",
      details: { code },
      cause: error,
    },
  );
}
