import { constants } from "node:os";

/** How a process ended, in the way a shell tells it. */
export interface ExitInfo {
  /** Its own, or 128 + n where signal n ended it. */
  readonly exitCode: number;
  /** For example "SIGKILL"; null where it ended by itself. */
  readonly signal: NodeJS.Signals | null;
}

/** From what Node says of an ended child: one of the two is null. */
export function exitInfo(code: number | null, signal: NodeJS.Signals | null): ExitInfo {
  if (signal !== null) return { exitCode: 128 + constants.signals[signal], signal };
  return { exitCode: code ?? 0, signal: null };
}

/** From a shell's `$?`, which tells the signal by a number above 128 only. */
export function exitInfoFromShell(status: number): ExitInfo {
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  return { exitCode: status, signal: isSignal(signal) ? signal : null };
}

function isSignal(name: string | undefined): name is NodeJS.Signals {
  return name !== undefined && name in constants.signals;
}
