import { Writable } from "node:stream";
import type { SshChannel } from "./channel.ts";
import type { StdinSource } from "./spec.ts";

/** Control-D: what ends the input of a program that reads lines from a terminal. */
const END_OF_TERMINAL_INPUT = Buffer.from([4]);

/** The writing end that a caller holds from the start; what is written waits until there is a channel. */
export class StdinPipe extends Writable {
  readonly #hasTerminal: boolean;
  #channel: SshChannel | null = null;
  #onChannel: (channel: SshChannel) => void = () => {};

  constructor(hasTerminal: boolean) {
    super({ decodeStrings: true });
    this.#hasTerminal = hasTerminal;
    // A command need not read all of its input: that it ended shows in its result.
    this.on("error", () => {});
  }

  attach(channel: SshChannel): void {
    this.#channel = channel;
    this.#onChannel(channel);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#whenAttached((channel) => channel.write(chunk).then(() => done(), done));
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#whenAttached((channel) => endStdin(channel, this.#hasTerminal).then(() => done(), done));
  }

  #whenAttached(use: (channel: SshChannel) => void): void {
    if (this.#channel) use(this.#channel);
    else this.#onChannel = use;
  }
}

/**
 * Gives the command its input and then ends it. Resolves also when the command ends first, for it need not read all;
 * rejects with the source's own error.
 */
export async function feedStdin(
  source: StdinSource,
  channel: SshChannel,
  hasTerminal: boolean,
): Promise<void> {
  if (source.kind === "pipe") return;
  if (source.kind === "bytes") {
    if (source.bytes.length > 0) await channel.write(source.bytes).catch(() => {});
    return await endStdin(channel, hasTerminal).catch(() => {});
  }
  let isOver = false;
  void channel.closed.then(() => {
    isOver = true;
  });
  for await (const chunk of source.chunks) {
    if (isOver) return;
    const isTaken = await channel.write(toBytes(chunk)).then(
      () => true,
      () => false,
    );
    if (!isTaken) return;
  }
  await endStdin(channel, hasTerminal).catch(() => {});
}

async function endStdin(channel: SshChannel, hasTerminal: boolean): Promise<void> {
  if (hasTerminal) await channel.write(END_OF_TERMINAL_INPUT);
  else channel.end();
}

function toBytes(chunk: unknown): Uint8Array {
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`stdin gave ${typeof chunk} where strings and bytes are understood`);
}
