import * as v from "valibot";
import { decodeRecord } from "./decode-record.ts";
import { ContentStampSchema, FileStampSchema, LayerStampSchema } from "./file-stamp.ts";
import { FIRST_GUEST_FORMAT, GuestFormatSchema, HeldDiskSchema } from "./held-files.ts";
import { StringMapSchema } from "./string-map-schema.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const hostKey = v.pipe(v.string(), v.regex(/^ssh-ed25519 [A-Za-z0-9+/=]+$/));

/** What is known of a machine that was saved, whatever becomes of the files: all that is needed to go on with it. */
export const SavedFactsSchema = v.strictObject({
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
  /** For how many milliseconds the source stood still. */
  pauseMs: v.pipe(v.number(), v.minValue(0)),
  sourceName: v.string(),
  /** Null: the caller's own kernel and disk. */
  image: v.nullable(v.strictObject({ name: v.string(), digest: v.string() })),
  own: v.nullable(
    v.strictObject({
      kernelPath: v.string(),
      initrdPath: v.nullable(v.string()),
      rootfsPath: v.string(),
      bootArgs: v.string(),
    }),
  ),
  memoryMib: count,
  cpus: count,
  diskMib: count,
  network: v.picklist(["open", "off"]),
  template: v.picklist(["auto", "off"]),
  sshUser: v.string(),
  sshKeyPath: v.nullable(v.string()),
  labels: StringMapSchema,
  accelerator: v.picklist(["kvm", "hvf", "tcg"]),
  qemuVersion: v.string(),
  /** A digest of the devices, and of the processor where guests run on the host's own. */
  model: v.string(),
  /** The public keys of its SSH server, and of those that it lets in. Null: it has no server of ours. */
  hostKey: v.nullable(hostKey),
  clientKey: v.string(),
  /** How our part of its guest is talked to, where it has one. */
  guestFormat: v.optional(GuestFormatSchema, FIRST_GUEST_FORMAT),
  /** A shell that waits in its memory. Null: none. */
  shell: v.nullable(
    v.strictObject({
      token: v.string(),
      pid: v.pipe(v.number(), v.integer()),
      name: v.pipe(v.tuple([v.string(), v.string()]), v.readonly()),
      loginShell: v.string(),
      isFresh: v.boolean(),
      /** By which version's words it is talked to. */
      scripts: v.string(),
    }),
  ),
  /** What its lowest layer lies on. Null: no disk. */
  base: v.nullable(HeldDiskSchema),
});

export const SnapshotRecordSchema = v.strictObject({
  formatVersion: v.literal(1),
  name: v.string(),
  facts: SavedFactsSchema,
  memory: FileStampSchema,
  state: ContentStampSchema,
  /** From the lowest. */
  layers: v.array(LayerStampSchema),
  sizeBytes: v.pipe(v.number(), v.minValue(0)),
});

export type SavedFacts = v.InferOutput<typeof SavedFactsSchema>;
/** What a snapshot is: kept beside its files as `snapshot.json`. */
export type SnapshotRecord = v.InferOutput<typeof SnapshotRecordSchema>;

/** DamageError. */
export function decodeSnapshotRecord(text: string): SnapshotRecord {
  return decodeRecord(SnapshotRecordSchema, text);
}

export function encodeSnapshotRecord(record: SnapshotRecord): string {
  return `${JSON.stringify(record, null, 1)}\n`;
}
