import type { Duplex, Readable } from "node:stream";
import { PieceQueue } from "../../util/piece-queue.ts";
import type { OutputStream } from "../spec/command-spec.ts";
import {
  ConnectionLostError,
  type ExitStatus,
  MOST_EXIT_CODE,
  type OutputSink,
  type SshChannel,
} from "./channel.ts";

/** What is used of ssh2's client channel. */
export interface RawChannel extends Duplex {
  readonly stderr: Readable;
  setWindow(rows: number, columns: number, height: number, width: number): void;
  close(): void;
}

/** What a channel tells the connection that it is one of. */
export interface ChannelOwner {
  /** So much of output has come. */
  onOutput(bytes: number): void;
  /** So much was sent. */
  onInput(bytes: number): void;
  /** The server sends more than the window lets it. */
  onOverrun(): void;
  /** Resolves when the server has taken all that was sent so far, or is gone. */
  ping(): Promise<void>;
}

/** How much may wait for a sink that is not there yet. */
const WAITING_BYTES = 64 * 1024;
/** ssh2 opens the window so far, and not again while the sink has said no: after that word no more than this can come. */
const WINDOW_BYTES = 2 * 1024 * 1024;
const SLACK_BYTES = 64 * 1024;
const STREAMS: readonly OutputStream[] = ["stdout", "stderr"];

/**
 * ssh2 hands stdout and stderr to two streams, each with a buffer: their order is lost as soon as one of them waits.
 * So `push`, the call by which ssh2 delivers, is taken over: output goes straight to the sink, in the order of its
 * arrival, and where the sink answers false ssh2 leaves the channel's window shut until `_read` is called. ssh2 itself
 * does not mind a server that sends all the same: that is counted here.
 */
export function wrapChannel(raw: RawChannel, owner: ChannelOwner): SshChannel {
  const waiting = new PieceQueue();
  let sink: OutputSink | null = null;
  let givenUp = false;
  /** What has come since the sink said no; null while it takes output. */
  let unwanted: number | null = null;

  const deliver = (stream: OutputStream, bytes: Buffer): boolean => {
    if (bytes.length === 0) return unwanted === null;
    owner.onOutput(bytes.length);
    if (unwanted !== null) {
      unwanted += bytes.length;
      if (unwanted > WINDOW_BYTES + SLACK_BYTES) {
        owner.onOverrun();
        return false;
      }
    }
    // A window opened behind a CHANNEL_CLOSE of ours can hit a channel that the server has forgotten: dropbear then
    // ends the whole connection. Answering false keeps it shut.
    if (givenUp) return false;
    let flows = waiting.bytes + bytes.length < WAITING_BYTES;
    if (sink) flows = sink(stream, bytes);
    else waiting.push(STREAMS.indexOf(stream), bytes);
    if (!flows) unwanted ??= 0;
    return unwanted === null;
  };
  takeOver(raw, (bytes) => deliver("stdout", bytes));
  takeOver(raw.stderr, (bytes) => deliver("stderr", bytes));

  const resume = () => {
    if (givenUp) return;
    unwanted = null;
    try {
      raw._read(0);
      raw.stderr._read(0);
    } catch {
      // The connection is gone, which shows in the channel's end.
    }
  };
  return {
    ...watchEnd(raw),
    ...writing(raw, owner),
    setSink(newSink) {
      sink = newSink;
      let flows = true;
      for (let piece = waiting.shift(); piece; piece = waiting.shift())
        flows = newSink(STREAMS[piece.kind] ?? "stdout", Buffer.from(piece.bytes.buffer));
      if (flows) resume();
    },
    resume,
    resize: ({ columns, rows }) => raw.setWindow(rows, columns, 0, 0),
    close() {
      givenUp = true;
      unwanted ??= 0;
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
    raw.once("exit", (code: unknown, signal?: unknown) => resolve(decodeStatus(code, signal)));
    void closed.then(() => resolve(null));
  });
  return { closed, exited };
}

/** Null where the server says what no process can end with: then it is not known how this one did. */
function decodeStatus(code: unknown, signal: unknown): ExitStatus | null {
  if (code === null) return typeof signal === "string" && SIGNAL.test(signal) ? { signal } : null;
  return typeof code === "number" && code <= MOST_EXIT_CODE ? { code } : null;
}

const SIGNAL = /^SIG[A-Z0-9+-]{1,16}$/;

/** How much may be on its way to a server that has not shown that it reads: its window says what it likes. */
const UNREAD_BYTES = 8 * 1024 * 1024;

/** ssh2 never calls back for what is written to a channel that is gone: such writes are rejected here. */
function writing(raw: RawChannel, owner: ChannelOwner): Pick<SshChannel, "write" | "end"> {
  const pending = new Set<(error: Error) => void>();
  let isGone = false;
  let unread = 0;
  const taken = async () => {
    if (unread < UNREAD_BYTES) return;
    unread = 0;
    await owner.ping();
  };
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
        unread += bytes.length;
        owner.onInput(bytes.length);
        raw.write(bytes, (error) => {
          pending.delete(reject);
          if (error) reject(error);
          else resolve(taken());
        });
      }),
    end() {
      if (raw.writable) raw.end();
    },
  };
}
