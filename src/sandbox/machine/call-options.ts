import { parseDurationMs } from "../../util/duration.ts";
import { generateName, parseName } from "../../util/names.ts";
import { checkFunction, checkOptionKeys, parseSignal } from "../../util/options.ts";
import type { CopyCallOptions, SmolVMOptions, StartOptions, StopOptions } from "./options.ts";

const START_TIMEOUT_SECONDS = 120;
const STOP_TIMEOUT_SECONDS = 10;
export const COPY_TIMEOUT_SECONDS = 120;

/** How long a start may take, from when on, and what else ends it. */
export interface StartBounds {
  readonly timeoutMs: number;
  readonly sinceMs: number;
  readonly signals: readonly AbortSignal[];
}

/** ValidationError. */
export function parseStart(options: StartOptions, surroundings: Pick<SmolVMOptions, "signal">): StartBounds {
  checkOptionKeys(options, ["timeout", "onProgress", "signal"], "start()");
  checkFunction("onProgress", options.onProgress);
  const timeoutMs = parseDurationMs(options.timeout ?? START_TIMEOUT_SECONDS, "timeout");
  const signals = [surroundings.signal, parseSignal(options.signal)].filter(
    (each) => each instanceof AbortSignal,
  );
  return { timeoutMs, sinceMs: performance.now(), signals };
}

/** ValidationError; how long the guest may take, in milliseconds. */
export function parseStop(options: StopOptions): number {
  checkOptionKeys(options, ["timeout"], "stop()");
  return parseDurationMs(options.timeout ?? STOP_TIMEOUT_SECONDS, "timeout");
}

/** ValidationError. */
export function parseSnapshotCall(
  wanted: string | undefined,
  options: CopyCallOptions,
): { readonly name: string; readonly timeoutMs: number; readonly signal: AbortSignal | undefined } {
  checkOptionKeys(options, ["timeout", "signal"], "snapshot()");
  return {
    name: wanted === undefined ? generateName() : parseName(wanted),
    timeoutMs: parseDurationMs(options.timeout ?? COPY_TIMEOUT_SECONDS, "timeout"),
    signal: parseSignal(options.signal) ?? undefined,
  };
}
