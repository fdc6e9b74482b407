import type { Socket } from "node:net";
import * as v from "valibot";
import { lineSplitter } from "../../util/line-splitter.ts";

/**
 * What is said between the process that holds a machine and those that use it: JSON, a message per line. To be raised when a
 * message changes its meaning; a side that hears another number says so and does nothing.
 */
export const PROTOCOL = 3;

const OPERATIONS = [
  "start",
  "stop",
  "pause",
  "resume",
  "mend",
  "remove",
  "describe",
  "snapshot",
  "copy",
] as const;
export type Operation = (typeof OPERATIONS)[number];

const id = v.pipe(v.number(), v.integer());

/** To the holder. */
const RequestSchema = v.variant("kind", [
  v.strictObject({ kind: v.literal("call"), id, operation: v.picklist(OPERATIONS), args: v.unknown() }),
  /** The caller has given up. */
  v.strictObject({ kind: v.literal("cancel"), id }),
  /** Heard that others use the machine too. */
  v.strictObject({ kind: v.literal("heard"), id }),
]);

/** From the holder. */
const ReplySchema = v.variant("kind", [
  /** The first message, and again after each change. */
  v.strictObject({ kind: v.literal("record"), protocol: v.number(), record: v.unknown() }),
  /** The machine is gone for good. */
  v.strictObject({ kind: v.literal("deleted"), reason: v.string() }),
  /** Whether another process may run commands too. Comes before the first record; to be answered by "heard". */
  v.strictObject({ kind: v.literal("shared"), id, others: v.boolean() }),
  /** The call has been read and is begun: from now on it may be carried out. What is hung up on before that never is. */
  v.strictObject({ kind: v.literal("taken"), id }),
  v.strictObject({ kind: v.literal("result"), id, value: v.optional(v.unknown()) }),
  v.strictObject({ kind: v.literal("error"), id, error: v.optional(v.unknown()) }),
  v.strictObject({ kind: v.literal("progress"), id, progress: v.optional(v.unknown()) }),
  /** Comes every ALIVE_MS while something is asked for: it is at it. */
  v.strictObject({ kind: v.literal("alive") }),
  /** Comes alone: it can't hold the machine. */
  v.strictObject({ kind: v.literal("refused"), error: v.optional(v.unknown()) }),
  /** Another process holds the machine: it is to be asked instead. */
  v.strictObject({ kind: v.literal("elsewhere") }),
]);

export type Request = v.InferOutput<typeof RequestSchema>;
export type Reply = v.InferOutput<typeof ReplySchema>;

export const ALIVE_MS = 5_000;

/** An error, or the facts of a copy, of 16 KiB each and more fit in. */
const LONGEST_LINE_BYTES = 4 * 1024 * 1024;

/** What waits for one who does not listen. More is not kept. */
const UNHEARD_BYTES = 8 * 1024 * 1024;

/** Who lets that pile up is not talked to any longer. */
export function send(socket: Socket, message: Request | Reply): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
  if (socket.writableLength > UNHEARD_BYTES) socket.destroy();
}

export function onRequest(socket: Socket, listener: (request: Request) => void): void {
  onMessage(socket, RequestSchema, listener);
}

export function onReply(socket: Socket, listener: (reply: Reply) => void): void {
  onMessage(socket, ReplySchema, listener);
}

/** Who says what can't be understood is not talked to any longer. */
function onMessage<T>(
  socket: Socket,
  schema: v.GenericSchema<unknown, T>,
  listener: (message: T) => void,
): void {
  const hear = (line: Buffer, cut: boolean) => {
    if (socket.destroyed) return;
    const message = cut ? undefined : parse(line, schema);
    if (message === undefined) socket.destroy();
    else listener(message);
  };
  socket.on("data", lineSplitter(LONGEST_LINE_BYTES, hear));
  socket.on("error", () => {}); // told by "close"
}

function parse<T>(line: Buffer, schema: v.GenericSchema<unknown, T>): T | undefined {
  try {
    const decoded = v.safeParse(schema, JSON.parse(line.toString("utf8")));
    return decoded.success ? decoded.output : undefined;
  } catch {
    return undefined;
  }
}
