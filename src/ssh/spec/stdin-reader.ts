import type { Readable } from "node:stream";

export type Piece = { readonly chunk: unknown } | "end";

/** Reads a source piece by piece, and can leave it at any moment, also while it waits. */
export interface SourceReader {
  next(): Promise<Piece>;
  /** Nobody reads on. Twice is fine. */
  release(): void;
}

const held = new WeakSet<object>();

/** From now on no failure of this stream is an uncaught one. However often it is asked for, it is one listener. */
export function holdErrors(stream: Readable): void {
  if (held.has(stream)) return;
  held.add(stream);
  stream.on("error", () => {});
}

export function isReadable(source: object): source is Readable {
  const { read, on, off } = source as Partial<Readable>;
  return [read, on, off].every((method) => typeof method === "function");
}

/** One that was destroyed without an error has come to its end. */
export function readStream(stream: Readable, onError: (error: unknown) => void): SourceReader {
  const waiting: unknown[] = [];
  let wake = () => {};
  const onData = (chunk: unknown) => {
    stream.pause();
    waiting.push(chunk);
    wake();
  };
  const onEnd = () => wake();
  const onFailure = (error: unknown) => {
    onError(error);
    wake();
  };
  const listeners = { end: onEnd, close: onEnd, error: onFailure };
  holdErrors(stream);
  for (const [event, listener] of Object.entries(listeners)) stream.on(event, listener);
  if (stream.errored) onError(stream.errored);
  return {
    async next() {
      if (!stream.listeners("data").includes(onData)) stream.on("data", onData);
      while (waiting.length === 0) {
        if (stream.errored) throw stream.errored;
        if (stream.readableEnded || stream.destroyed) return "end";
        await new Promise<void>((resolve) => {
          wake = resolve;
          stream.resume();
        });
      }
      return { chunk: waiting.shift() };
    },
    release() {
      stream.off("data", onData);
      for (const [event, listener] of Object.entries(listeners)) stream.off(event, listener);
      letGo(stream);
    },
  };
}

/** A `return()` reaches a generator when it has done what it waits for. */
export function readIterable(source: AsyncIterable<unknown>): SourceReader {
  let iterator: AsyncIterator<unknown> | null = null;
  let isOver = false;
  return {
    async next() {
      try {
        iterator ??= source[Symbol.asyncIterator]();
        const { done, value } = await iterator.next();
        if (!done) return { chunk: value };
        isOver = true;
        return "end";
      } catch (error) {
        isOver = true;
        throw error;
      }
    },
    release() {
      if (isOver) return;
      isOver = true;
      void Promise.resolve(iterator)
        .then((begun) => begun?.return?.())
        .catch(() => {});
    },
  };
}

/**
 * What nobody reads any more is destroyed, as `pipeline` does it. What the program has other uses for only stands still, and holds no program
 * open then: its own standard input, and a stream of two directions, such as a socket.
 */
function letGo(stream: Readable): void {
  const { fd, write, _transform } = stream as { fd?: unknown; write?: unknown; _transform?: unknown };
  const isTwoWay = typeof write === "function" && typeof _transform !== "function";
  if (fd === 0 || isTwoWay) stream.pause();
  else stream.destroy();
}
