import { BootError, OperationAbortedError, OperationTimeoutError } from "../../errors.ts";
import { codeOf } from "../../host/whole-file.ts";
import { hasHostsWords } from "../../qemu/host-words.ts";
import { DamageError } from "../../state/damage.ts";
import { hasPanicked } from "./second-try.ts";

/**
 * Whose fault it is that a machine did not come up from saved files. "files": what lies there is proved bad. "host": this host could not
 * do it at the moment, or was not given the time. "unclear": neither is known.
 */
export type Blame = "files" | "host" | "unclear";

/** What a start takes at the very most, however busy the host is: who waits less learns nothing of the files. */
export const PATIENCE_MS = 40_000;

export function blameFor(
  error: unknown,
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Blame {
  if (signal.aborted) return "host";
  const chain = causesOf(error);
  if (chain.some((each) => each instanceof DamageError)) return "files";
  if (chain.some((each) => each instanceof OperationAbortedError || isOfTheHost(each))) return "host";
  if (chain.some(hasPanicked) || chain.some(isRefused)) return "files";
  const isLate = chain.some((each) => each instanceof OperationTimeoutError);
  return isLate && timeoutMs < PATIENCE_MS ? "host" : "unclear";
}

/** An error and what caused it, the first first. */
export function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = [];
  for (let at = error; at instanceof Error && !causes.includes(at); at = at.cause) causes.push(at);
  return causes;
}

/** The system refused something, QEMU says that it did, or somebody ended QEMU. */
function isOfTheHost(error: unknown): boolean {
  if (error instanceof BootError) return hasHostsWords(error.qemuOutput) || wasEnded(error);
  return error instanceof Error && "syscall" in error && !HANG_UPS.has(codeOf(error));
}

/** How a conversation breaks off whose other end is gone, whatever that died of. */
const HANG_UPS: ReadonlySet<string> = new Set(["EPIPE", "ECONNRESET", "ENOTCONN"]);

function wasEnded({ details }: BootError): boolean {
  const { endedBy } = details as { endedBy?: unknown };
  return ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"].includes(String(endedBy));
}

/** QEMU has read all of it, and says that this is no machine that it could go on with. */
function isRefused(error: unknown): boolean {
  return error instanceof BootError && /load of migration failed/.test(error.qemuOutput);
}
