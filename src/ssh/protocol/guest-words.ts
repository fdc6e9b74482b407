import { parseForeignNumber } from "../../util/foreign-number.ts";
import { exitCodeOfSignal, signalOfExitCode } from "../spec/signals.ts";
import { type ExitStatus, MOST_EXIT_CODE } from "../transport/channel.ts";

/** Linux, include/linux/threads.h: PID_MAX_LIMIT. */
const MOST_PID = 2 ** 22;
const MOST_KIB = 2 ** 40;

/** The words by which the guest says that a command never ran, after the command's token. */
export const NEVER_RAN = ["gone", "cwd", "shell", "user unknown", "user denied"] as const;
/** "unbegun": its shell has ended before. */
export type NeverRan = (typeof NEVER_RAN)[number] | "unbegun";

/** What the guest's scripts say in numbers. Null where it can't be: root there can say anything in their place. */
export function parsePid(word: string | undefined): number | null {
  return parseForeignNumber(word, 1, MOST_PID);
}

/** `wasKilled`: the code is 128 and the number of the signal that ended it. */
export function parseStatus(word: string | undefined, wasKilled: boolean): ExitStatus | null {
  const code = parseForeignNumber(word, wasKilled ? exitCodeOfSignal("SIGHUP") : 0, MOST_EXIT_CODE);
  if (code === null) return null;
  return wasKilled ? { signal: signalOfExitCode(code) } : { code };
}

/** Memory that the guest does not tell in a way that can be understood is none. */
export function parseKib(word: string | undefined): number {
  return parseForeignNumber(word, 0, MOST_KIB) ?? 0;
}
