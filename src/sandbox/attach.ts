import type { Readable, Writable } from "node:stream";
import { holdRawTerminal, isTerminalInput } from "../host/raw-terminal.ts";
import type { TerminalSize } from "../ssh/channel.ts";
import { endOfTerminalInput } from "../ssh/terminal-process.ts";

export interface AttachOptions {
  /** Sees all input before the guest does; what it returns goes to the guest instead. */
  onInput?: (bytes: Uint8Array) => Uint8Array;
  /** Sees all output before it is written. */
  onOutput?: (bytes: Uint8Array) => void;
}

/** The ends of a terminal's two streams, to be connected with a pair of streams of the host. */
export interface Attachment {
  /** Takes output of the terminal; false: no more until it is asked for. */
  take(stream: unknown, bytes: Buffer): boolean;
  attach(stdin: Readable, stdout: Writable, options?: AttachOptions): () => void;
  /** The terminal is gone: lets go of the streams for good. */
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
  let write: ((bytes: Buffer) => boolean) | null = null;
  let detach = () => {};
  let isOver = false;

  const handOver = (newWrite: (bytes: Buffer) => boolean) => {
    for (const bytes of waiting) newWrite(bytes);
    waiting = [];
    waitingBytes = 0;
  };
  return {
    take(_stream, bytes) {
      const own = Buffer.from(bytes);
      if (write) return write(own);
      waiting.push(own);
      waitingBytes += own.length;
      return waitingBytes < WAITING_BYTES;
    },
    attach(stdin, stdout, { onInput, onOutput } = {}) {
      detach();
      const newWrite = (bytes: Buffer) => {
        onOutput?.(bytes);
        return stdout.write(bytes);
      };
      if (isOver) {
        handOver(newWrite);
        return () => {};
      }
      const release: (() => void)[] = [];
      const mine = () => {
        if (detach !== mine) return;
        detach = () => {};
        write = null;
        for (const step of release) step();
      };
      detach = mine;
      write = newWrite;
      handOver(newWrite);
      release.push(
        listen(stdout, "drain", askForMore),
        listen(stdout, "close", mine), // nobody would ever ask for more
        followSize(stdout, resize),
        connectInput(stdin, input, onInput),
      );
      askForMore();
      return mine;
    },
    end() {
      isOver = true;
      detach();
    },
  };
}

function connectInput(stdin: Readable, input: Writable, onInput: AttachOptions["onInput"]): () => void {
  let lastByte: number | undefined;
  let isEnded = false;
  const onData = (chunk: Buffer | string) => {
    const given = Buffer.from(chunk as string);
    const bytes = onInput ? onInput(given) : given;
    if (bytes.length === 0 || input.destroyed) return;
    lastByte = bytes.at(-1);
    if (!input.write(bytes)) stdin.pause();
  };
  // The pipe is not ended with it: somebody else may be attached later.
  const onEnd = () => {
    if (!isEnded && !input.destroyed) input.write(endOfTerminalInput(lastByte));
    isEnded = true;
  };
  const release = [
    listen(stdin, "data", onData),
    listen(stdin, "end", onEnd),
    listen(stdin, "close", onEnd),
    listen(input, "drain", () => stdin.resume()),
    () => stdin.pause(),
    ...(isTerminalInput(stdin) ? [listen(stdin, "error", onEnd), holdRawTerminal(stdin)] : []),
  ];
  if (stdin.readableEnded || stdin.destroyed) onEnd();
  else stdin.resume();
  return () => {
    for (const step of release.reverse()) step();
  };
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

// biome-ignore lint/suspicious/noExplicitAny: the type of Node's own listeners
function listen(stream: Readable | Writable, event: string, listener: (...values: any[]) => void) {
  stream.on(event, listener);
  return () => void stream.off(event, listener);
}
