import type { ProcessIdentity } from "../../src/host/process-identity.ts";
import { parseSpec } from "../../src/sandbox/machine/spec.ts";
import { type MachineRecord, RECORD_FORMAT } from "../../src/state/machine-record.ts";

/** The record of a machine that is at rest and has never been up, unless said otherwise. */
export function recordOf(
  name: string,
  known: Partial<MachineRecord> & { persistent?: boolean } = {},
): MachineRecord {
  const { persistent = false, ...others } = known;
  return {
    formatVersion: RECORD_FORMAT,
    createdAt: "2026-01-02T03:04:05.678Z",
    spec: parseSpec({ name, persistent }),
    machineId: "0123456789abcdef0123456789abcdef",
    hostKey: null,
    wasBooted: false,
    held: null,
    status: { phase: "created", reason: "", since: "2026-01-02T03:04:05.678Z" },
    owner: null,
    boot: null,
    ...others,
  };
}

/** A process that has ended: another one has its id. */
export function ended(process: ProcessIdentity): ProcessIdentity {
  return { ...process, startedAt: "long ago" };
}
