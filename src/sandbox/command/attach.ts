import type { Readable, Writable } from "node:stream";
import { holdRawTerminal, isTerminalInput } from "../../host/raw-terminal.ts";
import { holdErrors, isReadable } from "../../ssh/spec/stdin-reader.ts";
import { endOfTerminalInput, type TerminalSize } from "../../ssh/spec/terminal.ts";
import { checkFunction, checkOptionKeys, refuse } from "../../util/options.ts";
import { AttachedOutput } from "./attached-output.ts";

export interface AttachOptions {
  /** Sees all input before the guest does; what it returns goes to the guest instead. What it throws ends the shell, as with `onOutput`. */
  onInput?: (bytes: Uint8Array) => Uint8Array;
  /** Sees all output before it is written. */
  onOutput?: (bytes: Uint8Array) => unknown;
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
  fail: (error: unknown) => void,
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
    attach(stdin, stdout, options = {}) {
      const { onInput, onOutput } = parseAttach(stdin, stdout, options);
      detach();
      const output = new AttachedOutput(stdout, (bytes) => onOutput?.(bytes), { askForMore, fail });
      const newWrite = (bytes: Buffer) => output.write(bytes);
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
        listen(stdout, "drain", () => output.drained()),
        () => output.close(),
        // Nobody would ever ask for more.
        listen(stdout, "close", mine),
        listen(stdout, "error", mine),
        followSize(stdout, resize),
        connectInput(stdin, input, { onInput, fail }),
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

/** ValidationError, before anything listens to the streams. */
function parseAttach(stdin: unknown, stdout: unknown, options: unknown): AttachOptions {
  if (!isReadable(Object(stdin))) throw refuse("stdin", stdin, "a Readable");
  if (!isWritable(stdout)) throw refuse("stdout", stdout, "a Writable");
  checkOptionKeys(options, ["onInput", "onOutput"], "attach()");
  for (const [key, listener] of Object.entries(options as object)) checkFunction(key, listener);
  return options as AttachOptions;
}

function isWritable(value: unknown): value is Writable {
  const { write, on, off } = Object(value);
  return [write, on, off].every((method) => typeof method === "function");
}

/** A source that breaks ends the shell; a terminal that does so is hung up, which is an end of the input as any other. */
function connectInput(
  stdin: Readable,
  input: Writable,
  { onInput, fail }: { onInput: AttachOptions["onInput"] | undefined; fail: (error: unknown) => void },
): () => void {
  const passed = (given: Uint8Array) => {
    try {
      return onInput ? onInput(given) : given;
    } catch (error) {
      fail(error);
      return new Uint8Array();
    }
  };
  let lastByte: number | undefined;
  let isEnded = false;
  const onData = (chunk: Buffer | string) => {
    const given = Buffer.from(chunk as string);
    const bytes = passed(given);
    if (bytes.length === 0 || input.destroyed) return;
    lastByte = bytes.at(-1);
    if (!input.write(bytes)) stdin.pause();
  };
  // The pipe is not ended with it: somebody else may be attached later.
  const onEnd = () => {
    if (!isEnded && !input.destroyed) input.write(endOfTerminalInput(lastByte));
    isEnded = true;
  };
  const isTerminal = isTerminalInput(stdin);
  if (!isTerminal) holdErrors(stdin);
  const release = [
    listen(stdin, "data", onData),
    listen(stdin, "end", onEnd),
    listen(stdin, "close", onEnd),
    listen(input, "drain", () => stdin.resume()),
    () => stdin.pause(),
    listen(stdin, "error", isTerminal ? onEnd : fail),
    ...(isTerminal ? [holdRawTerminal(stdin)] : []),
  ];
  if (stdin.errored && !isTerminal) fail(stdin.errored);
  else if (stdin.readableEnded || stdin.destroyed) onEnd();
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
