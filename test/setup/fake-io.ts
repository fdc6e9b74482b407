import { Readable } from "node:stream";
import type { Api } from "../../src/cli/api.ts";
import type { InterruptName, Io } from "../../src/cli/io.ts";

/** The outside world of the command line, written down. */
export interface FakeIo extends Io {
  readonly out: () => string;
  readonly err: () => string;
  /** What a terminal or `kill` would send. */
  interrupt(name: InterruptName): void;
  /** What a reader that closes its end makes of the next write to stdout. */
  breakStdout(code: string): void;
}

export function fakeIo(
  api: Partial<Record<keyof Api, unknown>>,
  options: { readonly isTTY?: boolean; readonly input?: string } = {},
): FakeIo {
  const isTTY = options.isTTY ?? false;
  const stdout = fakeOutput(isTTY);
  const stderr = fakeOutput(isTTY);
  const listeners = new Set<(name: InterruptName) => void>();
  return {
    stdin: Object.assign(Readable.from(options.input === undefined ? [] : [options.input]), { isTTY }),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: {},
    version: () => "1.2.3",
    loadApi: async () => api as unknown as Api,
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush: async () => {},
    out: stdout.text,
    err: stderr.text,
    interrupt: (name) => {
      for (const listener of listeners) listener(name);
    },
    breakStdout: stdout.break,
  };
}

function fakeOutput(isTTY: boolean) {
  const chunks: Buffer[] = [];
  const listeners: ((error: NodeJS.ErrnoException) => void)[] = [];
  return {
    stream: {
      isTTY,
      columns: 60,
      write(chunk: string | Uint8Array) {
        chunks.push(Buffer.from(chunk as Uint8Array));
        return true;
      },
      on(_event: "error", listener: (error: NodeJS.ErrnoException) => void) {
        listeners.push(listener);
      },
      once() {},
    },
    text: () => Buffer.concat(chunks).toString(),
    break: (code: string) => {
      for (const listener of listeners) listener(Object.assign(new Error(`write ${code}`), { code }));
    },
  };
}
