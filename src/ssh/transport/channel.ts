import type { OutputStream } from "../spec/command-spec.ts";
import type { TerminalSize } from "../spec/terminal.ts";

/** How the guest said that a process ended: an exit code, or the signal that killed it, such as "SIGKILL". */
export type ExitStatus = { readonly code: number } | { readonly signal: string };

/** No process can end with more. */
export const MOST_EXIT_CODE = 255;

/** Takes output as it arrives, in order. Returning false stops the other side until `resume()`. */
export type OutputSink = (stream: OutputStream, bytes: Buffer) => boolean;

/** One process in the guest and its three streams. */
export interface SshChannel {
  /** Output that arrives before a sink is set waits. */
  setSink(sink: OutputSink): void;
  /** Lets output flow again after the sink returned false. */
  resume(): void;
  /** Resolves when the guest's side has taken it; rejects when the channel is gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the process's stdin. */
  end(): void;
  resize(size: TerminalSize): void;
  /** Gives the channel up; kills nothing in the guest. */
  close(): void;
  /** The exit status as soon as it is known; null when the channel went without one, or with one that can't be. Never rejects. */
  readonly exited: Promise<ExitStatus | null>;
  /** Resolves when the channel is gone, closed from either side. */
  readonly closed: Promise<void>;
}

/** The server refused one more channel or process on this connection; nothing was run. */
export class ChannelRefusedError extends Error {}

/** The connection is gone; nothing was run by this call. */
export class ConnectionLostError extends Error {}
