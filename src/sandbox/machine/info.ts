import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ProcessFigures, readProcessFigures } from "../../host/process-figures.ts";
import { DEAD, judgeProcess, type Verdict } from "../../host/process-identity.ts";
import { isHeldName } from "../../state/held-files.ts";
import { isBad, judgeOwner } from "../../state/machine-folder.ts";
import type { BadRecord, BootReport, MachineRecord, StoredMachine } from "../../state/machine-record.ts";
import { whyUnwritten } from "./full-disk.ts";
import type { VMStatus } from "./options.ts";
import { holderOf, isStopped } from "./standstill.ts";

/** What is known of a machine at this moment. */
export interface VMInfo {
  readonly id: string;
  readonly name: string;
  readonly status: VMStatus;
  /** Why the status is "error", or what stopped the machine; null where there is nothing to say. */
  readonly statusReason: string | null;
  readonly persistent: boolean;
  /** The image's name; null for one's own kernel and disk. */
  readonly image: string | null;
  /** 0 where the machine's record can't be read; so are the other two. */
  readonly memSizeMib: number;
  readonly vcpuCount: number;
  readonly diskSizeMib: number;
  readonly network: "open" | "off";
  readonly labels: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly uptimeSeconds: number | null;
  /** For how long it may run after each start, and with nobody connected; null: without an end. */
  readonly ttlSeconds: number | null;
  readonly idleTimeoutSeconds: number | null;
  /** The process that holds it: its creator, or the supervisor of a persistent one that runs. */
  readonly ownerPid: number | null;
  /** The process id of QEMU, its port for SSH on 127.0.0.1 and what the boot went through; null where it isn't running. */
  readonly pid: number | null;
  readonly sshPort: number | null;
  readonly boot: BootReport | null;
  /** What QEMU has of the host's memory, and the processor time that it has used since this start; null where it isn't running. */
  readonly memoryBytes: number | null;
  readonly cpuSeconds: number | null;
  /** What its files take on the host's disk. */
  readonly diskBytes: number;
  /** Where they are; null before the first start. */
  readonly folder: string | null;
}

/** What really runs of a machine. */
interface Observation {
  readonly status: VMStatus;
  readonly reason: string;
  /** Null where QEMU doesn't live. */
  readonly figures: ProcessFigures | null;
}

const RUNS: ReadonlySet<VMStatus> = new Set(["starting", "running", "paused", "stopping"]);

export async function describeStored({ name, paths, record }: StoredMachine): Promise<VMInfo> {
  const diskBytes = await bytesIn(paths.folder);
  if (isBad(record)) return describeBad(name, paths.folder, record, diskBytes);
  return describeRecord(record, await observe(record, await judgeOwner(record, paths)), {
    folder: paths.folder,
    diskBytes,
  });
}

export function describeRecord(
  record: MachineRecord,
  { status, reason, figures }: Observation,
  { folder, diskBytes }: { readonly folder: string | null; readonly diskBytes: number },
): VMInfo {
  const { spec, owner } = record;
  const boot = figures && record.boot;
  return {
    id: spec.id,
    name: spec.name,
    status,
    statusReason: reason || null,
    persistent: spec.persistent,
    image: spec.source.kind === "image" ? spec.source.name : null,
    memSizeMib: spec.memoryMib,
    vcpuCount: spec.cpus,
    diskSizeMib: spec.diskMib,
    network: spec.network,
    labels: spec.labels,
    createdAt: record.createdAt,
    startedAt: boot?.report.startedAt ?? null,
    uptimeSeconds: figures?.ageSeconds ?? null,
    ttlSeconds: seconds(spec.ttlMs),
    idleTimeoutSeconds: seconds(spec.idleTimeoutMs),
    ownerPid: owner?.pid ?? null,
    pid: boot?.qemu.pid ?? null,
    sshPort: boot?.sshPort ?? null,
    boot: boot?.report ?? null,
    memoryBytes: figures?.residentBytes ?? null,
    cpuSeconds: figures?.cpuSeconds ?? null,
    diskBytes,
    folder,
  };
}

/** What a machine's record says, held against the processes that live; `held`: whether its owner does. */
export async function observe(record: MachineRecord, held: Verdict): Promise<Observation> {
  const { spec, status, owner, boot } = record;
  const qemu = boot ? await judgeProcess(boot.qemu) : DEAD;
  const figures = boot && qemu.life === "alive" ? await readFigures(boot.qemu.pid) : null;
  const at = (phase: VMStatus, reason: string) => ({ status: phase, reason, figures });
  if (!RUNS.has(status.phase)) return at(status.phase, status.reason);
  const holder = holderOf(spec);
  if (owner === null || held.life === "dead")
    return at("error", `${holder} ended while it was ${status.phase}${await whyUnwritten()}`);
  if (held.life === "unknown")
    return at(status.phase, `it can't be told whether ${holder} still lives, because ${held.why}`);
  // An id that was given out in another container is another process here.
  if (await isStopped(owner)) return at("error", stoppedBySignal(holder, owner.pid));
  if (status.phase !== "running" && status.phase !== "paused") return at(status.phase, status.reason);
  if (qemu.life === "dead") return at("error", "its QEMU has ended");
  if (figures?.isStopped) return at("error", stoppedBySignal("its QEMU", boot?.qemu.pid));
  return at(status.phase, status.reason);
}

/** Null also where they can't be read at this moment. */
async function readFigures(pid: number): Promise<ProcessFigures | null> {
  return (await readProcessFigures(pid).catch(() => undefined)) ?? null;
}

function stoppedBySignal(who: string, pid: number | undefined): string {
  return `${who} is stopped by a signal; kill -CONT ${pid} lets it go on`;
}

function describeBad(name: string, folder: string, { problem }: BadRecord, diskBytes: number): VMInfo {
  return {
    ...{ id: "", name, status: "error", statusReason: problem, persistent: true, image: null },
    ...{ memSizeMib: 0, vcpuCount: 0, diskSizeMib: 0, network: "off", labels: {}, createdAt: "" },
    ...{ startedAt: null, uptimeSeconds: null, ttlSeconds: null, idleTimeoutSeconds: null, ownerPid: null },
    ...{ pid: null, sshPort: null, boot: null, memoryBytes: null, cpuSeconds: null, diskBytes, folder },
  };
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

/**
 * What the files of a folder take on the disk, holes left out; 0 where there is none. What a machine only holds of its image is not its
 * own, as long as others have it too. POSIX counts blocks of 512 bytes.
 */
export async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const file = await stat(join(folder, name)).catch(() => null);
      const isOthers = file !== null && file.nlink > 1 && isHeldName(name);
      return file?.isFile() && !isOthers ? file.blocks * 512 : 0;
    }),
  );
  return found.reduce((sum, bytes) => sum + bytes, 0);
}
