import { fstatSync, readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import type { Api } from "./api.ts";

/** All that the command line touches of the outside; tests give their own. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Node takes a folder for an input that is at its end. */
  isStdinFolder(): boolean;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  version(): string;
  loadApi(): Promise<Api>;
  /** Calls `listener` on SIGINT, SIGTERM and SIGHUP until the returned function is called. */
  onInterrupt(listener: (signalName: InterruptName) => void): () => void;
  /** Resolves when all that was written has left the process. */
  flush(): Promise<void>;
}

export type InterruptName = "SIGINT" | "SIGTERM" | "SIGHUP";

export interface Output extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

const INTERRUPTS: readonly InterruptName[] = ["SIGINT", "SIGTERM", "SIGHUP"];

export function processIo(): Io {
  // A reader that has gone away is no crash; what has work to end hears of it too.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => {});
  return {
    // Only looked at by the commands that pass it on: touching it opens the descriptor.
    get stdin() {
      return process.stdin;
    },
    isStdinFolder: () => isFolder(STDIN),
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    version: packageVersion,
    loadApi: () => import("../index.ts"),
    onInterrupt(listener) {
      for (const name of INTERRUPTS) process.on(name, listener);
      return () => {
        for (const name of INTERRUPTS) process.off(name, listener);
      };
    },
    flush: async () => {
      await Promise.all([drained(process.stdout), drained(process.stderr)]);
    },
  };
}

const ROOM = ["drain", "error", "close"] as const;

/** Resolves when there is room for more, when its reader has gone away, or when `signal` says that nobody waits for it. */
export async function write(output: Output, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  if (output.write(bytes) || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const proceed = () => {
      signal.removeEventListener("abort", proceed);
      for (const event of ROOM) output.off(event, proceed);
      resolve();
    };
    for (const event of ROOM) output.once(event, proceed);
    signal.addEventListener("abort", proceed);
  });
}

const STDIN = 0;

function isFolder(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isDirectory();
  } catch {
    return false; // it is closed, which Node mends by itself
  }
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { version: string }).version;
}

function drained(stream: NodeJS.WriteStream): Promise<void> {
  if (!stream.writable) return Promise.resolve();
  return new Promise((resolve) => {
    // An error of the last write is emitted after its callback.
    stream.write("", () => setImmediate(resolve));
  });
}
