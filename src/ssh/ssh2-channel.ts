import type { Duplex, Readable } from "node:stream";
import {
  ConnectionLostError,
  type ExitStatus,
  type OutputSink,
  type OutputStream,
  type SshChannel,
} from "./channel.ts";

/** What is used of ssh2's client channel. */
export interface RawChannel extends Duplex {
  readonly stderr: Readable;
  setWindow(rows: number, columns: number, height: number, width: number): void;
  close(): void;
}

/** How much may wait for a sink that is not there yet. */
const WAITING_BYTES = 64 * 1024;

/**
 * ssh2 hands stdout and stderr to two streams, each with a buffer: their order is lost as soon as one of them waits.
 * So `push`, the call by which ssh2 delivers, is taken over: output goes straight to the sink, in the order of its
 * arrival, and where the sink answers false ssh2 leaves the channel's window shut until `_read` is called.
 */
export function wrapChannel(raw: RawChannel): SshChannel {
  const waiting: { stream: OutputStream; bytes: Buffer }[] = [];
  let waitingBytes = 0;
  let sink: OutputSink | null = null;
  let givenUp = false;

  const deliver = (stream: OutputStream, bytes: Buffer): boolean => {
    // A window opened behind a CHANNEL_CLOSE of ours can hit a channel that the server has forgotten: dropbear then
    // ends the whole connection. Answering false keeps it shut.
    if (givenUp) return false;
    if (sink) return sink(stream, bytes);
    waiting.push({ stream, bytes });
    waitingBytes += bytes.length;
    return waitingBytes < WAITING_BYTES;
  };
  takeOver(raw, (bytes) => deliver("stdout", bytes));
  takeOver(raw.stderr, (bytes) => deliver("stderr", bytes));

  const resume = () => {
    if (givenUp) return;
    raw._read(0);
    raw.stderr._read(0);
  };
  return {
    ...watchEnd(raw),
    ...writing(raw),
    setSink(newSink) {
      sink = newSink;
      let flows = true;
      for (const { stream, bytes } of waiting.splice(0)) flows = newSink(stream, bytes);
      if (flows) resume();
    },
    resume,
    resize: ({ columns, rows }) => raw.setWindow(rows, columns, 0, 0),
    close() {
      givenUp = true;
      raw.close();
    },
  };
}

function takeOver(stream: Readable, deliver: (bytes: Buffer) => boolean): void {
  const push = stream.push.bind(stream);
  stream.push = (chunk: Buffer | null) => (chunk === null ? push(null) : deliver(chunk));
  stream.on("error", () => {}); // what matters of it shows in the channel's end
  stream.resume(); // else its end would never be announced
}

function watchEnd(raw: RawChannel): Pick<SshChannel, "exited" | "closed"> {
  const closed = new Promise<void>((resolve) => raw.once("close", () => resolve()));
  const exited = new Promise<ExitStatus | null>((resolve) => {
    raw.once("exit", (code: number | null, signal?: string) =>
      resolve(code === null ? { signal: signal ?? "SIGKILL" } : { code }),
    );
    void closed.then(() => resolve(null));
  });
  return { closed, exited };
}

/** ssh2 never calls back for what is written to a channel that is gone: such writes are rejected here. */
function writing(raw: RawChannel): Pick<SshChannel, "write" | "end"> {
  const pending = new Set<(error: Error) => void>();
  let isGone = false;
  raw.once("close", () => {
    isGone = true;
    for (const reject of pending) reject(new ConnectionLostError("the channel closed"));
    pending.clear();
  });
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (isGone || !raw.writable) return reject(new ConnectionLostError("the channel is closed"));
        pending.add(reject);
        raw.write(bytes, (error) => {
          pending.delete(reject);
          if (error) reject(error);
          else resolve();
        });
      }),
    end() {
      if (raw.writable) raw.end();
    },
  };
}
