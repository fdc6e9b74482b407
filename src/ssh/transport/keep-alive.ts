import type { SshConnection } from "./ssh-connection.ts";

const INTERVAL_MS = 5_000;
/** A guest that has not answered for so long, though it was not paused, is not there any more. */
export const SILENCE_MS = 60_000;

export interface KeepAliveTimes {
  readonly intervalMs: number;
  readonly silenceMs: number;
}

/** What a connection needs to know of the guest at its other end. */
export interface Guest {
  /** Whether the machine stands still on purpose: its silence is no sign of a broken connection then. */
  readonly isPaused: () => boolean;
  /** Asks it, by another way, to mend what may keep this side out. */
  readonly mend: () => void;
}

/** Asks a connection that is silent for a sign of life now and then. Where none comes the guest is to mend it; then it is closed. */
export function closeWhenDead(
  connection: Pick<SshConnection, "bytesRead" | "lost" | "ping" | "abandon">,
  { isPaused, mend }: Guest,
  { intervalMs, silenceMs }: KeepAliveTimes = { intervalMs: INTERVAL_MS, silenceMs: SILENCE_MS },
): void {
  let bytesSeen = connection.bytesRead;
  let aliveMs = performance.now();
  let lastTickMs = aliveMs;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    // A host that slept, or was stopped, has heard nothing meanwhile.
    const hostWasAway = nowMs - lastTickMs > 2 * intervalMs;
    if (connection.bytesRead !== bytesSeen || isPaused() || hostWasAway) aliveMs = nowMs;
    bytesSeen = connection.bytesRead;
    lastTickMs = nowMs;
    if (nowMs - aliveMs >= silenceMs) connection.abandon("the server does not answer any more");
    else if (nowMs > aliveMs) void connection.ping();
    if (nowMs - aliveMs >= 2 * intervalMs) mend();
  }, intervalMs);
  timer.unref();
  void connection.lost.then(() => clearInterval(timer));
}
