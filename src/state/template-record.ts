import * as v from "valibot";
import { decodeRecord } from "./decode-record.ts";
import { ContentStampSchema, FileStampSchema } from "./file-stamp.ts";

const TemplateRecordSchema = v.strictObject({
  formatVersion: v.literal(1),
  key: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
  image: v.strictObject({ name: v.string(), digest: v.string() }),
  /** All that the key was made of, for a person. */
  inputs: v.record(v.string(), v.unknown()),
  /** The public key that the SSH server of every clone shows: "ssh-ed25519 AAAA…". */
  hostKey: v.pipe(v.string(), v.regex(/^ssh-ed25519 [A-Za-z0-9+/=]+$/)),
  /** A shell that waits in its memory for a clone's first command. Null: none. */
  shell: v.nullable(
    v.strictObject({
      token: v.string(),
      pid: v.pipe(v.number(), v.integer()),
      name: v.pipe(v.tuple([v.string(), v.string()]), v.readonly()),
      loginShell: v.string(),
    }),
  ),
  memory: FileStampSchema,
  state: ContentStampSchema,
  /** Null: a machine without a disk. */
  disk: v.nullable(ContentStampSchema),
});

/** What a template is: kept beside its files as `template.json`. */
export type TemplateRecord = v.InferOutput<typeof TemplateRecordSchema>;

/** DamageError. */
export function decodeTemplateRecord(text: string): TemplateRecord {
  return decodeRecord(TemplateRecordSchema, text);
}

export function encodeTemplateRecord(record: TemplateRecord): string {
  return `${JSON.stringify(record, null, 1)}\n`;
}
