import type { NeverRan } from "../protocol/guest-words.ts";
import type { InputTaker } from "../spec/stdin-source.ts";
import type { TerminalSize } from "../spec/terminal.ts";
import type { ExitStatus, OutputSink } from "../transport/channel.ts";
import type { Ward } from "./control-shell.ts";

/** How a command's process came to its end. */
export type ProcessEnd =
  | { readonly kind: "exited"; readonly status: ExitStatus }
  /** The guest said that it did not get as far as the command. */
  | { readonly kind: "never ran"; readonly why: NeverRan; readonly status?: ExitStatus }
  /** The shell that was to read the command never came up. */
  | { readonly kind: "not started" }
  /** The connection, or the channel, went without a word about the command. */
  | { readonly kind: "lost"; readonly why: string };

/** A command in the guest, as the host holds it. */
export interface GuestProcess extends InputTaker {
  /** By what it is killed. */
  readonly ward: Ward;
  /** Resolves when its shell is there; null where it never comes. */
  readonly ready: Promise<true | null>;
  /** Resolves when what it is given as input can't be for another one; null where it has ended. */
  readonly takesInput: Promise<true | null>;
  /** Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** Known before `ended` is: what is meant for it must not be sent any more, somebody else may run where it ran. */
  readonly isOver: boolean;
  /** A shell that waited where it runs, and was dismissed for it, is gone: what is sent to all who are there reaches it. */
  readonly isAlone: boolean;
  /** Sends the command: nothing of it was sent before. */
  begin(sink: OutputSink): void;
  /** Instead of `begin`: it is not wanted any more. */
  discard(): void;
  /** Lets output flow again after the sink returned false. */
  resume(): void;
  resize(size: TerminalSize): void;
  /** The guest was given a deadline for it. */
  noteDeadline(): void;
  /** It is being ended by force: nothing else may run where it ran. */
  taint(): void;
}

export function hasNotBegun(end: ProcessEnd): boolean {
  return end.kind === "never ran" && (end.why === "gone" || end.why === "unbegun");
}

export function wasKilled(end: ProcessEnd): boolean {
  return end.kind === "exited" && "signal" in end.status && end.status.signal === "SIGKILL";
}
