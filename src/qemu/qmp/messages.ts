import * as v from "valibot";

const GreetingSchema = v.object({
  QMP: v.object({
    version: v.object({
      qemu: v.object({ major: v.number(), minor: v.number(), micro: v.number() }),
      package: v.optional(v.string(), ""),
    }),
  }),
});
const ReturnSchema = v.object({ return: v.unknown(), id: v.optional(v.unknown()) });
const ErrorSchema = v.object({
  error: v.object({ class: v.string(), desc: v.string() }),
  id: v.optional(v.unknown()),
});
const EventSchema = v.object({
  event: v.string(),
  data: v.optional(v.record(v.string(), v.unknown()), {}),
  timestamp: v.object({ seconds: v.number(), microseconds: v.number() }),
});

/** One message from QEMU. */
export type QmpMessage =
  | { readonly kind: "greeting"; readonly version: string }
  | { readonly kind: "return"; readonly id: unknown; readonly value: unknown }
  | { readonly kind: "error"; readonly id: unknown; readonly errorClass: string; readonly text: string }
  | { readonly kind: "event"; readonly event: QmpEvent };

export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly timestampMs: number;
}

/** Decodes one line; undefined where it is no message of the protocol. */
export function parseQmpMessage(line: string): QmpMessage | undefined {
  const json = parseJson(line);
  if (v.is(ReturnSchema, json)) return { kind: "return", id: json.id, value: json.return };
  if (v.is(ErrorSchema, json)) {
    return { kind: "error", id: json.id, errorClass: json.error.class, text: json.error.desc };
  }
  const event = v.safeParse(EventSchema, json);
  if (event.success) return { kind: "event", event: decodeEvent(event.output) };
  const greeting = v.safeParse(GreetingSchema, json);
  if (greeting.success) return { kind: "greeting", version: formatVersion(greeting.output) };
  return undefined;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function decodeEvent({ event, data, timestamp }: v.InferOutput<typeof EventSchema>): QmpEvent {
  return { name: event, data, timestampMs: timestamp.seconds * 1000 + timestamp.microseconds / 1000 };
}

/** For example "7.2.22 (Debian 1:7.2+dfsg-7)": the package's part matters too, as distributions patch. */
function formatVersion({ QMP: { version } }: v.InferOutput<typeof GreetingSchema>): string {
  const { major, minor, micro } = version.qemu;
  const numbers = `${major}.${minor}.${micro}`;
  return version.package.trim() === "" ? numbers : `${numbers} (${version.package.trim()})`;
}
