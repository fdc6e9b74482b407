import * as v from "valibot";
import { ProcessIdentitySchema } from "../host/process-identity.ts";
import { canonicalDigest } from "../util/canonical-json.ts";
import { firstIssue } from "../util/first-issue.ts";
import { type HeldFiles, HeldFilesSchema } from "./held-files.ts";
import type { MachinePaths } from "./paths.ts";
import { StringMapSchema } from "./string-map-schema.ts";

/** To be raised when records are written in another way. One that is newer than this is left alone. */
export const RECORD_FORMAT = 2;

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const milliseconds = v.nullable(v.pipe(v.number(), v.minValue(0)));
const publicKey = v.nullable(v.pipe(v.string(), v.regex(/^ssh-ed25519 [A-Za-z0-9+/=]+$/)));

const SourceSchema = v.variant("kind", [
  v.strictObject({ kind: v.literal("image"), name: v.string() }),
  v.strictObject({
    kind: v.literal("own"),
    kernelPath: v.string(),
    initrdPath: v.nullable(v.string()),
    rootfsPath: v.string(),
    bootArgs: v.string(),
  }),
]);

/** What a machine is to be: complete, checked, and never changed. */
const MachineSpecSchema = v.strictObject({
  id: v.string(),
  name: v.string(),
  source: v.pipe(SourceSchema, v.readonly()),
  memoryMib: count,
  cpus: count,
  diskMib: count,
  env: StringMapSchema,
  network: v.picklist(["open", "off"]),
  ports: v.pipe(
    v.array(v.pipe(v.strictObject({ guest: count, host: v.nullable(count) }), v.readonly())),
    v.readonly(),
  ),
  labels: StringMapSchema,
  persistent: v.boolean(),
  template: v.picklist(["auto", "off"]),
  accelerator: v.picklist(["auto", "kvm", "hvf", "tcg"]),
  sshUser: v.string(),
  sshKeyPath: v.nullable(v.string()),
  /** For how long it may run after each start, and for how long nobody needs to be connected to it. Null: without an end. */
  ttlMs: milliseconds,
  idleTimeoutMs: milliseconds,
  /** What its QEMU may take of the host. Null: no limit but the machine's own shape. */
  hostLimits: v.pipe(
    v.strictObject({ memoryMib: v.nullable(count), cpus: v.nullable(v.pipe(v.number(), v.gtValue(0))) }),
    v.readonly(),
  ),
});

const BootReportSchema = v.strictObject({
  accelerator: v.picklist(["kvm", "hvf", "tcg"]),
  acceleratorReason: v.string(),
  startedAt: v.pipe(v.string(), v.isoTimestamp()),
  /** "template": started as a clone of a saved machine; "snapshot": restored from one, or a fork; "cold": booted. */
  way: v.picklist(["template", "snapshot", "cold"]),
  /** Why it was booted: for a person; "" where it was not. */
  wayReason: v.string(),
  phases: v.pipe(
    v.array(v.pipe(v.strictObject({ name: v.string(), ms: v.number() }), v.readonly())),
    v.readonly(),
  ),
});

const BootSchema = v.strictObject({
  qemu: ProcessIdentitySchema,
  /** The port of 127.0.0.1 that leads to its SSH server, and the key that this shows. Null: it has none. */
  sshPort: v.nullable(count),
  hostKey: publicKey,
  /** The folder by which its QEMU is limited. Null: none. */
  cgroup: v.nullable(v.string()),
  report: v.pipe(BootReportSchema, v.readonly()),
});

const StatusSchema = v.strictObject({
  phase: v.picklist(["created", "starting", "running", "paused", "stopping", "stopped", "error"]),
  /** Why it is in "error", or was stopped by itself; "" where there is nothing to say. */
  reason: v.string(),
  since: v.pipe(v.string(), v.isoTimestamp()),
});

const MachineRecordSchema = v.strictObject({
  /** Format 1 did not say what the machine is held by. */
  formatVersion: v.picklist([1, RECORD_FORMAT]),
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
  spec: v.pipe(MachineSpecSchema, v.readonly()),
  /** 32 hexadecimal digits, the same at every start. */
  machineId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  /** The private key of its SSH server in dropbear's form, base64. Null before its first cold boot. */
  hostKey: v.nullable(v.string()),
  wasBooted: v.boolean(),
  /** What it boots from. Null before its first start. */
  held: v.optional(v.nullable(HeldFilesSchema)),
  status: v.pipe(StatusSchema, v.readonly()),
  /** The process that holds it: its creator, or its supervisor. Null: nobody. */
  owner: v.nullable(ProcessIdentitySchema),
  /** Null where it doesn't run. */
  boot: v.nullable(v.pipe(BootSchema, v.readonly())),
});

export type MachineSpec = Readonly<v.InferOutput<typeof MachineSpecSchema>>;
export type ImageSource = MachineSpec["source"];
export type PortSpec = MachineSpec["ports"][number];
/** What a boot went through. Times in milliseconds. */
export type BootReport = Readonly<v.InferOutput<typeof BootReportSchema>>;
/** What is kept of a machine, as `machine.json` in its folder. */
export type MachineRecord = WrittenRecord & { readonly held: HeldFiles | null };

type WrittenRecord = Readonly<v.InferOutput<typeof MachineRecordSchema>>;

/** A record that was written by a later version of this program: to be left alone. */
export class NewerFormatError extends Error {
  override readonly name = "NewerFormatError";
}

/** Throws an error that says what is wrong with it, to go after "it"; NewerFormatError for one of a later version. */
export function decodeMachineRecord(text: string): MachineRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error("its record is no JSON", { cause });
  }
  const { checksum, ...rest } = Object(value) as Record<string, unknown>;
  const record = parseWritten(checksum === undefined ? value : rest);
  if (checksum !== checksumOf(record))
    throw new Error("its record is bad: it was changed since it was written: its checksum is another one");
  return inThisFormat(record);
}

/** The same for one that another process has sent. */
export function parseMachineRecord(value: unknown): MachineRecord {
  return inThisFormat(parseWritten(value));
}

/** What a machine of format 1 was made from is found out at its next start: see src/sandbox/boot/hold.ts. */
function inThisFormat(record: WrittenRecord): MachineRecord {
  return { ...record, formatVersion: RECORD_FORMAT, held: record.held ?? null };
}

function parseWritten(value: unknown): WrittenRecord {
  const format = Object(value).formatVersion as unknown;
  if (typeof format === "number" && format > RECORD_FORMAT)
    throw new NewerFormatError(
      `its record has format ${format}, and this version of smolvm knows ${RECORD_FORMAT}`,
    );
  const decoded = v.safeParse(MachineRecordSchema, value);
  if (decoded.success) return decoded.output;
  throw new Error(`its record is bad: ${firstIssue(decoded.issues)}`);
}

/** With a checksum: of a disk that lies, or a hand that slips, any value could come that is allowed and wrong. */
export function encodeMachineRecord(record: MachineRecord): string {
  return `${JSON.stringify({ ...record, checksum: checksumOf(record) }, null, 1)}\n`;
}

function checksumOf(record: WrittenRecord): string {
  return canonicalDigest(record);
}

/** A machine as its folder tells. */
export interface StoredMachine {
  readonly name: string;
  readonly paths: MachinePaths;
  readonly record: MachineRecord | BadRecord;
}

/** A record that can't be used, and why: to go after "it". */
export interface BadRecord {
  readonly problem: string;
  /** It was written by a later version, which knows what to do with it. */
  readonly isNewer: boolean;
}
