import { Writable } from "node:stream";
import { attachStreams } from "../../src/sandbox/command/attach.ts";

/** What a command that went well came to. */
export const commandResult = {
  command: "x",
  exitCode: 0,
  signal: null,
  stdout: "out",
  stderr: "err",
  stdoutBytes: Buffer.from("out"),
  stderrBytes: Buffer.from("err"),
  ok: true,
  output: "out",
  truncated: { stdout: false, stderr: false },
  durationMs: 1,
  timing: { queueMs: 0, connectMs: 0, firstByteMs: 1 },
};

const chunks = [
  { stream: "stdout", bytes: Buffer.from("out") },
  { stream: "stderr", bytes: Buffer.from("err") },
];

/** What a machine was asked to run. */
interface Asked {
  readonly command: unknown;
  readonly options: Record<string, unknown> & { readonly stdin?: AsyncIterable<Buffer> };
  input: string;
  isIterated: boolean;
}

/** A machine's `run` that writes down what it is asked and answers with `exitCode`. */
export function recordingRun(exitCode = 0) {
  const asked: Asked[] = [];
  const run = (command: unknown, options: Asked["options"]) => {
    const call: Asked = { command, options, input: "", isIterated: false };
    asked.push(call);
    const ended = (async () => {
      for await (const chunk of options.stdin ?? []) call.input += chunk;
      return { ...commandResult, exitCode, ok: exitCode === 0 };
    })();
    const iterate = async function* () {
      call.isIterated = true;
      yield* chunks;
    };
    return Object.assign(ended, { [Symbol.asyncIterator]: iterate });
  };
  return { run, asked };
}

/** A machine whose terminal ends as it is told to. */
export function machineWithShell() {
  const typed: Buffer[] = [];
  const input = new Writable({
    write(chunk, _encoding, done) {
      typed.push(chunk);
      done();
    },
  });
  let exit: (exitCode: number) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const exited = new Promise<{ exitCode: number; signal: null }>((resolve, reject) => {
    exit = (exitCode) => resolve({ exitCode, signal: null });
    fail = reject;
  });
  const attachment = attachStreams(
    input,
    () => {},
    () => {},
    (error) => fail(error),
  );
  exited.finally(attachment.end).catch(() => {});
  const asked: Record<string, unknown>[] = [];
  const seen = { isAttached: false, isClosed: false };
  const shell = {
    exited,
    attach: (...streams: Parameters<typeof attachment.attach>) => {
      seen.isAttached = true;
      return attachment.attach(...streams);
    },
    close: async () => {
      seen.isClosed = true;
    },
  };
  const open = async (options: Record<string, unknown>) => {
    asked.push(options);
    return shell;
  };
  const SmolVM = {
    use: (_machine: object, body: (machine: object) => Promise<unknown>) => body({ shell: open }),
  };
  const prints = (text: string) => attachment.take("stdout", Buffer.from(text));
  return {
    SmolVM,
    shell: open,
    asked,
    seen,
    prints,
    exit,
    fail,
    typed: () => Buffer.concat(typed).toString(),
  };
}
