import type { GuestFacts } from "./control-shell.ts";
import type { GuestProcess } from "./guest-process.ts";

export const CUT = "the connection broke while it ran";

/** Where a command runs, and who ends it there. */
export interface Place {
  /** Null until the keeper has spoken. */
  readonly facts: GuestFacts | null;
  readonly isOpen: boolean;
  /** What happened to it where it is not open, a clause for an error's message. */
  readonly whyCut: string;
  /** Kills all that a command started. Resolves when it is over and nothing of it is alive; never rejects. */
  kill(process: GuestProcess): Promise<void>;
  /** Sends a signal ("TERM") to every process of a command, as soon as it has one. Never rejects. */
  signal(process: GuestProcess, name: string): Promise<void>;
  /** Has the guest end the command by itself in so many seconds. */
  setDeadline(process: GuestProcess, seconds: number): Promise<void>;
}
