import { Readable, Writable } from "node:stream";
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
  options: { readonly isTTY?: boolean; readonly input?: string; readonly staysOpen?: boolean } = {},
): FakeIo {
  const isTTY = options.isTTY ?? false;
  const given = options.input === undefined ? [] : [options.input];
  const stdout = fakeOutput(isTTY);
  const stderr = fakeOutput(isTTY);
  const listeners = new Set<(name: InterruptName) => void>();
  return {
    stdin: Object.assign(options.staysOpen ? new Readable({ read() {} }) : Readable.from(given), { isTTY }),
    isStdinFolder: () => false,
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
    breakStdout: (code) => void stdout.break(code),
  };
}

function fakeOutput(isTTY: boolean) {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return {
    stream: Object.assign(stream, { isTTY, columns: 60, rows: 20 }),
    text: () => Buffer.concat(chunks).toString(),
    break: (code: string) => stream.emit("error", Object.assign(new Error(`write ${code}`), { code })),
  };
}
