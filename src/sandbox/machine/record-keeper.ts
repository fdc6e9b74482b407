import { findProcess } from "../../host/process-identity.ts";
import { writeMachineRecord } from "../../state/machine-folder.ts";
import { type MachineRecord, RECORD_FORMAT } from "../../state/machine-record.ts";
import type { Machine, Records, Unended } from "./machine.ts";

/** A disk that is full may have room again. */
const RETRY_MS = 1_000;

/**
 * Tells other processes how a machine stands, as often as that changes: in its record, and to those who are connected. One after
 * the other; of changes that come while one is written, only the last is.
 */
export class RecordKeeper implements Records {
  readonly #listeners = new Set<(record: MachineRecord) => void>();
  #writing: Promise<void> = Promise.resolve();
  #isWanted = false;
  #isClosed = false;

  onRecord(listener: (record: MachineRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  note(machine: Machine): void {
    if (this.#isWanted || this.#isClosed) return;
    this.#isWanted = true;
    this.#writing = this.#writing.then(() => this.#write(machine));
  }

  async tellFirst(machine: Machine, tell: (record: MachineRecord) => void): Promise<void> {
    const telling = this.#writing.then(async () => {
      const record = await recordOf(machine);
      if (machine.status.phase !== "deleted") tell(record); // that has been told by a word of its own
    });
    this.#writing = telling.catch(() => {});
    await telling;
  }

  async settled(): Promise<void> {
    for (let seen: unknown = null; seen !== this.#writing; ) {
      seen = this.#writing;
      await this.#writing;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.settled();
  }

  async #write(machine: Machine): Promise<void> {
    this.#isWanted = false;
    const { folder, status, surroundings } = machine;
    if (folder === null || status.phase === "deleted" || this.#isClosed) return;
    const record = await recordOf(machine);
    await writeMachineRecord(folder, record).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return; // it was removed meanwhile
      setTimeout(() => this.note(machine), RETRY_MS).unref(); // else others would be told for ever how it stood before
      surroundings.logger.warn?.(
        `The record of machine "${machine.spec.name}" could not be written: ${error.message}`,
      );
    });
    if (machine.status.phase !== "deleted") for (const listener of [...this.#listeners]) listener(record);
  }
}

/** How the machine stands at this moment. */
export async function recordOf(machine: Machine): Promise<MachineRecord> {
  const { spec, createdAt, machineId, hostKey, wasBooted, held, status, owner } = machine;
  const { phase, reason, since } = status;
  const booted = machine.booted ?? machine.unended;
  return {
    formatVersion: RECORD_FORMAT,
    createdAt,
    spec,
    machineId,
    hostKey: hostKey?.dropbear.toString("base64") ?? null,
    wasBooted,
    held,
    status: { phase: phase === "deleted" ? "stopped" : phase, reason, since },
    owner,
    boot: booted && (await describeBoot(booted)),
  };
}

async function describeBoot({ qemu, hostKey, limits, report }: Unended): Promise<MachineRecord["boot"]> {
  const process = await findProcess(qemu.pid);
  if (!process || !report) return null; // it has just died, or never came up
  return { qemu: process, sshPort: qemu.sshPort, hostKey, cgroup: limits?.folder ?? null, report };
}
