import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { OperationAbortedError, SmolVMError } from "../errors.ts";
import { bounded } from "../util/bounded.ts";
import { migrationEnd, prepareMigration } from "./migration.ts";
import { ended } from "./output.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";
import { makeSocketFolder, SOCKET_NAME } from "./state-receiver.ts";

/** One of the two machines, and the conversation with it. */
export interface CopyEnd {
  readonly process: Pick<QemuProcess, "whileAlive" | "exit" | "exited">;
  readonly qmp: QmpClient;
}

export interface LiveCopyOptions {
  /** What breaks down when the copy does lies here for the time being. */
  readonly folder: string;
  /**
   * The guest stands still from the beginning, and not only for what it wrote last. Emulation needs that: QEMU 7.2 was seen to miss
   * pages that the guest wrote meanwhile, in two of eight copies.
   */
  readonly standsStill: boolean;
  /** Called while the guest stands still, all its writes done. What it throws is what the copy fails with. */
  readonly atPause: () => Promise<void>;
  /** Whether the guest is to go on afterwards; asked then. */
  readonly goesOn: () => boolean;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

type CopyStep = "preparing QEMU" | "copying the memory" | "freezing the disk" | "copying the rest";

const BYTES_PER_SECOND = 2 ** 40;
/** How long the guest may stand still for what it wrote last. */
const PAUSE_MS = 50;
/** A guest that writes faster than can be copied never gets there: after so long it stands still for as long as it takes. */
const PATIENCE_MS = 10_000;
const LONGEST_PAUSE_MS = 60_000;
const CANCEL_MS = 10_000;
const GO_ON_MS = 5_000;
const LAST_WORDS_MS = 1_000;
const StatusSchema = v.object({ status: v.string() });

/**
 * Copies the state of a machine that runs, memory and all, into one that was started to receive it and stays paused. The source
 * goes on meanwhile, but for a moment at the end. Gives for how many milliseconds it stood still. Where it throws (SmolVMError
 * "SAVE", OperationAbortedError) the source goes on unharmed.
 */
export async function copyLive(source: CopyEnd, target: CopyEnd, options: LiveCopyOptions): Promise<number> {
  const { timeoutMs, signal } = options;
  const copying = new LiveCopy(source, target, options);
  try {
    const work = source.process.whileAlive(target.process.whileAlive(copying.run()));
    return await bounded(work, { operation: "Copying the machine", timeoutMs, signal });
  } catch (cause) {
    await copying.undo();
    if (cause instanceof OperationAbortedError) throw cause;
    throw await explain(cause, copying.step, target.process);
  } finally {
    await copying.close();
  }
}

class LiveCopy {
  step: CopyStep = "preparing QEMU";
  readonly #source: CopyEnd;
  readonly #target: CopyEnd;
  readonly #options: LiveCopyOptions;
  readonly #sent: ReturnType<typeof migrationEnd>;
  readonly #received: ReturnType<typeof migrationEnd>;
  readonly #still: Promise<void>;
  readonly #stopListening: () => void;
  /** By QEMU's clock: its events may wait here until there is time for them. */
  #stoppedMs = 0;
  #resumedMs = 0;
  #hasBegun = false;
  #folder: string | null = null;
  #settled: Promise<unknown> = Promise.resolve();
  #isUndone = false;
  #tellUndone = () => {};
  /** Rejects when it is undone. */
  readonly #undone: Promise<never>;

  constructor(source: CopyEnd, target: CopyEnd, options: LiveCopyOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    this.#sent = migrationEnd(source.qmp);
    this.#received = migrationEnd(target.qmp);
    let stopListening = () => {};
    this.#still = new Promise((resolve) => {
      stopListening = source.qmp.onEvent(({ name, data, timestampMs }) => {
        if (name === "STOP") this.#stoppedMs = timestampMs;
        if (name === "RESUME") this.#resumedMs = timestampMs;
        if (name === "MIGRATION" && v.is(StatusSchema, data) && data.status === "pre-switchover") resolve();
      });
    });
    this.#stopListening = stopListening;
    this.#undone = new Promise((_, reject) => {
      this.#tellUndone = () => reject(new UndoneError());
    });
    this.#undone.catch(() => {}); // heard by whoever waits for the other machine, if anybody does
  }

  run(): Promise<number> {
    const work = this.#run();
    this.#settled = work.catch(() => {});
    return work;
  }

  async #run(): Promise<number> {
    const uri = await this.#prepare();
    this.#enter("copying the memory");
    if (this.#options.standsStill) await this.#source.qmp.execute("stop");
    this.#requireWanted();
    await this.#source.qmp.execute("migrate", { uri });
    this.#hasBegun = true;
    await this.#untilStill();
    this.#enter("freezing the disk");
    await this.#options.atPause();
    this.#enter("copying the rest");
    await this.#source.qmp.execute("migrate-continue", { state: "pre-switchover" });
    await this.#unlessUndone(this.#sent.ended);
    this.#hasBegun = false;
    this.#requireWanted();
    if (this.#options.goesOn()) await goOn(this.#source.qmp);
    await this.#unlessUndone(this.#received.ended);
    return this.#stoppedMs === 0 ? 0 : Math.max(0, this.#resumedMs - this.#stoppedMs);
  }

  /**
   * Ends what is under way; the guest goes on. Never rejects. What was asked of the source already is waited for first, and nothing
   * more is asked of it: a "stop" or a "migrate" that came after this would leave the guest standing for good.
   */
  async undo(): Promise<void> {
    this.#isUndone = true;
    this.#tellUndone();
    const { process, qmp } = this.#source;
    if (process.exit) return;
    const work = async () => {
      await this.#settled;
      if (this.#hasBegun) {
        await qmp.execute("migrate_cancel");
        await this.#sent.ended.catch(() => {});
      }
      if (this.#options.goesOn()) await goOn(qmp);
    };
    await bounded(process.whileAlive(work()), { operation: "Going on", timeoutMs: CANCEL_MS }).catch(
      () => {},
    );
  }

  async close(): Promise<void> {
    this.#stopListening();
    this.#sent.stopListening();
    this.#received.stopListening();
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
  }

  async #prepare(): Promise<string> {
    this.#folder = await makeSocketFolder(this.#options.folder);
    const uri = `unix:${join(this.#folder, SOCKET_NAME)}`;
    const { qmp } = this.#source;
    this.#requireWanted();
    const ready = Promise.all([
      prepareMigration(this.#target.qmp, false),
      this.#target.qmp.execute("migrate-incoming", { uri }),
      prepareMigration(qmp, false, true),
      qmp.execute("migrate-set-parameters", {
        "max-bandwidth": BYTES_PER_SECOND,
        "downtime-limit": PAUSE_MS,
      }),
    ]);
    await this.#unlessUndone(ready);
    return uri;
  }

  #enter(step: CopyStep): void {
    this.#requireWanted();
    this.step = step;
  }

  /** Before all that changes the source. */
  #requireWanted(): void {
    if (this.#isUndone) throw new UndoneError();
  }

  /** For what may never come, as from a receiver that hangs. */
  #unlessUndone<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#undone]);
  }

  async #untilStill(): Promise<void> {
    const hasten = () =>
      void this.#source.qmp
        .execute("migrate-set-parameters", { "downtime-limit": LONGEST_PAUSE_MS })
        .catch(() => {});
    const patience = setTimeout(hasten, PATIENCE_MS);
    try {
      await this.#unlessUndone(Promise.race([this.#still, this.#sent.ended]));
    } finally {
      clearTimeout(patience);
    }
  }
}

/** Whoever began the copy has his own error by then. */
class UndoneError extends Error {}

/** Where the receiver has ended, the sender only knows that nobody listens. */
async function explain(cause: unknown, step: CopyStep, receiver: CopyEnd["process"]): Promise<SmolVMError> {
  if (cause instanceof QmpError) await Promise.race([receiver.exited, sleep(LAST_WORDS_MS)]);
  // What is written to a mapped file of which no more fits on the disk ends like this.
  const isFull = receiver.exit?.signal === "SIGBUS";
  const words = receiver.exit?.reason ?? (cause instanceof Error ? cause.message : String(cause));
  const why = isFull ? "there is no space left for its memory" : words;
  return new SmolVMError("SAVE", `The machine could not be saved: ${step} failed: ${ended(why)}`, {
    cause,
    details: { step },
    ...(isFull && {
      remediation: "Free some space on the file system of the state folder, or move it: SMOLVM_HOME.",
    }),
  });
}

/** QEMU tells that the migration is over a moment before it lets the guest go on, and has no word for that. */
async function goOn(qmp: QmpClient): Promise<void> {
  const deadlineMs = performance.now() + GO_ON_MS;
  for (;;) {
    try {
      await qmp.execute("cont");
      return;
    } catch (error) {
      const isTooSoon = error instanceof QmpError && error.message.includes("not finalized");
      if (!isTooSoon || performance.now() > deadlineMs) throw error;
    }
    await sleep(1);
  }
}
