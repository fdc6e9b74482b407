import type { SnapshotRecord } from "../../state/snapshot-record.ts";

/** A machine that was saved, as it lies on the disk. */
export interface SnapshotInfo {
  readonly name: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** The machine that it was taken of. */
  readonly sourceName: string;
  /** The image's name; null for one's own kernel and disk. */
  readonly image: string | null;
  readonly memSizeMib: number;
  readonly vcpuCount: number;
  readonly diskSizeMib: number;
  readonly network: "open" | "off";
  readonly labels: Readonly<Record<string, string>>;
  /** For how many milliseconds the machine stood still. */
  readonly pauseMs: number;
  /** What its files take on the disk, those included that it shares with its source. */
  readonly sizeBytes: number;
  /** It can only be restored by the same. */
  readonly accelerator: "kvm" | "hvf" | "tcg";
  readonly qemuVersion: string;
}

export function describeSnapshot({ name, facts, sizeBytes }: SnapshotRecord): SnapshotInfo {
  return {
    name,
    createdAt: facts.createdAt,
    sourceName: facts.sourceName,
    image: facts.own === null ? (facts.image?.name ?? null) : null,
    memSizeMib: facts.memoryMib,
    vcpuCount: facts.cpus,
    diskSizeMib: facts.diskMib,
    network: facts.network,
    labels: facts.labels,
    pauseMs: facts.pauseMs,
    sizeBytes,
    accelerator: facts.accelerator,
    qemuVersion: facts.qemuVersion,
  };
}
