import type { Readable, Writable } from "node:stream";
import type { TerminalSize } from "../ssh/channel.ts";

/** The ends of a terminal's two streams, to be connected with a pair of streams of the host. */
export interface Attachment {
  /** Takes output of the terminal; false: no more until it is asked for. */
  take(stream: unknown, bytes: Buffer): boolean;
  attach(stdin: Readable, stdout: Writable): () => void;
  /** Lets go of the streams for good. */
  end(): void;
}

/** Beyond this, what nobody is attached to waits in the guest. */
const WAITING_BYTES = 64 * 1024;

export function attachStreams(
  input: Writable,
  askForMore: () => void,
  resize: (size: TerminalSize) => void,
): Attachment {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let stdout: Writable | null = null;
  let detach = () => {};

  return {
    take(_stream, bytes) {
      if (stdout) return stdout.write(Buffer.from(bytes));
      waiting.push(Buffer.from(bytes));
      waitingBytes += bytes.length;
      return waitingBytes < WAITING_BYTES;
    },
    attach(newStdin, newStdout) {
      detach();
      stdout = newStdout;
      for (const bytes of waiting) newStdout.write(bytes);
      waiting = [];
      waitingBytes = 0;
      const release = [
        connectInput(newStdin, input),
        followSize(newStdout, resize),
        listen(newStdout, "drain", askForMore),
      ];
      detach = () => {
        detach = () => {};
        stdout = null;
        for (const step of release) step();
      };
      askForMore();
      const mine = detach;
      return () => {
        if (detach === mine) mine();
      };
    },
    end: () => detach(),
  };
}

/** Raw mode, so that every key goes to the guest, Control-C too. */
function connectInput(stdin: Readable, input: Writable): () => void {
  const wasRaw = isTerminalInput(stdin) ? stdin.isRaw : false;
  if (isTerminalInput(stdin)) stdin.setRawMode(true);
  const onData = (chunk: Buffer | string) => {
    if (!input.destroyed && !input.write(chunk)) stdin.pause();
  };
  const onDrain = () => stdin.resume();
  const onEnd = () => input.end();
  stdin.on("data", onData);
  stdin.on("end", onEnd);
  input.on("drain", onDrain);
  stdin.resume();
  return () => {
    stdin.off("data", onData);
    stdin.off("end", onEnd);
    input.off("drain", onDrain);
    stdin.pause();
    if (isTerminalInput(stdin)) stdin.setRawMode(wasRaw);
  };
}

function isTerminalInput(
  stdin: Readable,
): stdin is Readable & { isRaw: boolean; setRawMode(raw: boolean): void } {
  return "isTTY" in stdin && stdin.isTTY === true && "setRawMode" in stdin;
}

/** A terminal of the host tells its size, now and as it changes. */
function followSize(stdout: Writable, resize: (size: TerminalSize) => void): () => void {
  const tell = () => {
    const { columns, rows } = stdout as Writable & Partial<TerminalSize>;
    if (columns && rows) resize({ columns, rows });
  };
  tell();
  return listen(stdout, "resize", tell);
}

function listen(stream: Writable, event: string, listener: () => void): () => void {
  stream.on(event, listener);
  return () => stream.off(event, listener);
}
