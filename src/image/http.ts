import { setTimeout as sleep } from "node:timers/promises";
import { ImageError } from "../errors.ts";
import { throwIfAborted } from "../util/bounded.ts";

export interface FetchOptions {
  /** Where to start in the file. Default 0. */
  readonly startByte?: number;
  /** Without a byte for so long, the attempt is given up. */
  readonly stallTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const STALL_TIMEOUT_MS = 30_000;
const PAUSES_MS = [300, 1_000, 3_000];

/** A body as it comes. Throws ImageError for what won't get better, anything else for what may. */
export async function* fetchBody(url: string, options: FetchOptions): AsyncGenerator<Uint8Array> {
  const stall = stallDetector(options.stallTimeoutMs ?? STALL_TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  const startByte = options.startByte ?? 0;
  try {
    const response = await fetch(url, {
      signal,
      headers: startByte > 0 ? { range: `bytes=${startByte}-` } : {},
    });
    checkStatus(url, response.status);
    // A server that knows no ranges sends the whole file again.
    let toSkip = response.status === 206 ? 0 : startByte;
    for await (const bytes of response.body ?? []) {
      stall.progressed();
      if (bytes.length > toSkip) yield bytes.subarray(toSkip);
      toSkip = Math.max(0, toSkip - bytes.length);
    }
  } finally {
    stall.stop();
  }
}

/** Tries again after a broken connection or a server's own fault, a few times; what then is left is an ImageError. */
export async function withRetries<T>(
  url: string,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (const pauseMs of [...PAUSES_MS, undefined]) {
    try {
      signal?.throwIfAborted();
      return await attempt();
    } catch (error) {
      throwIfAborted(`The download of ${url}`, signal);
      if (error instanceof ImageError) throw error;
      if (pauseMs === undefined) throw unreachable(url, error);
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }
  throw unreachable(url, undefined);
}

/** A small text, such as InRelease. */
export async function fetchText(url: string, maxBytes: number, signal?: AbortSignal): Promise<string> {
  return await withRetries(url, signal, async () => {
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of fetchBody(url, { signal })) {
      parts.push(part);
      length += part.length;
      if (length > maxBytes)
        throw new ImageError(`${url} is larger than ${maxBytes} bytes.`, { details: { url } });
    }
    return Buffer.concat(parts).toString("utf8");
  });
}

function checkStatus(url: string, status: number): void {
  if (status === 200 || status === 206) return;
  if (status >= 500 || status === 429) throw new Error(`it answered ${status}`);
  throw new ImageError(`${url} can't be had: the server answered ${status}.`, {
    remediation: "Choose another Debian mirror with SMOLVM_DEBIAN_MIRROR.",
    details: { url, status },
  });
}

function unreachable(url: string, cause: unknown): ImageError {
  return new ImageError(`${url} can't be reached: ${rootCause(cause)}.`, {
    remediation: "Check the network, or choose another Debian mirror with SMOLVM_DEBIAN_MIRROR.",
    details: { url },
    cause,
  });
}

/** `fetch` itself only says "fetch failed". */
function rootCause(error: unknown): string {
  if (!(error instanceof Error)) return "unknown reason";
  return error.cause instanceof Error ? rootCause(error.cause) : error.message;
}

function stallDetector(timeoutMs: number): { signal: AbortSignal; progressed: () => void; stop: () => void } {
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new Error(`no byte came for ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  return { signal: controller.signal, progressed: () => timer.refresh(), stop: () => clearTimeout(timer) };
}
