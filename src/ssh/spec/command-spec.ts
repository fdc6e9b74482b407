import type { HeldSource } from "./stdin-source.ts";
import type { Terminal } from "./terminal.ts";

/** One command, checked and complete. */
export interface CommandSpec {
  /** A string is a script; an array is a program and its arguments. */
  readonly command: string | readonly string[];
  /** "interactive" is the login shell itself, in a terminal; `command` is then of no matter. */
  readonly shell: "login" | "raw" | "interactive";
  /** Total time from the call; null: none. */
  readonly timeoutMs: number | null;
  readonly env: Readonly<Record<string, string>>;
  /** Null: the user's home. */
  readonly cwd: string | null;
  /** Null: the user of the connection. */
  readonly user: string | null;
  readonly stdin: StdinSource;
  /** Null: no terminal. */
  readonly terminal: Terminal | null;
  readonly maxOutputBytes: number;
  readonly signal: AbortSignal | null;
}

export type StdinSource =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** A stream, an iterable, or a pipe that the caller writes to: it can be read only once. */
  | { readonly kind: "held"; readonly source: HeldSource };

/** Which of the two streams some output came on. */
export type OutputStream = "stdout" | "stderr";

/** It has no input. */
export function isEmpty({ stdin }: CommandSpec): boolean {
  return stdin.kind === "bytes" && stdin.bytes.length === 0;
}
