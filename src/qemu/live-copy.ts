import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { OperationAbortedError, SmolVMError } from "../errors.ts";
import { bounded } from "../util/bounded.ts";
import { goOn, letGoOn } from "./go-on.ts";
import { migrationEnd, prepareMigration } from "./migration.ts";
import { ended } from "./output.ts";
import type { QemuProcess } from "./process.ts";
import type { QmpClient } from "./qmp/client.ts";
import { QmpError } from "./qmp/error.ts";
import { openSocketFolder, type SocketFolder } from "./socket-folder.ts";

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
/** How long the caller of a copy that fails waits until its source goes on. */
const UNDO_MS = 2_000;
const LAST_WORDS_MS = 1_000;
const StatusSchema = v.object({ status: v.string() });

export interface CopyUnderWay {
  /** For how many milliseconds the source stood still. SmolVMError "SAVE", OperationAbortedError. */
  readonly result: Promise<number>;
  /**
   * The source is as it is to be again, by QEMU's own word, or has ended. That may be long after the result, where QEMU does not answer;
   * until then nothing else is to be asked of it. Never rejects, and does not keep the event loop alive.
   */
  readonly settled: Promise<void>;
}

/**
 * Copies the state of a machine that runs, memory and all, into one that was started to receive it and stays paused. The source
 * goes on meanwhile, but for a moment at the end, and goes on unharmed where the copy fails: what QEMU was asked and has not answered may
 * still happen, so it is asked until it says that no copy is under way and that its guest runs.
 */
export function copyLive(source: CopyEnd, target: CopyEnd, options: LiveCopyOptions): CopyUnderWay {
  const copying = new LiveCopy(source, target, options);
  const { timeoutMs, signal } = options;
  const work = source.process.whileAlive(target.process.whileAlive(copying.run()));
  const bounds = { operation: "Copying the machine", timeoutMs, signal };
  const working = bounded(work, bounds);
  const undone = working.catch(() => source.process.whileAlive(copying.undo()).catch(() => {}));
  const settled = undone.then(() => copying.close());
  const result = working.catch(async (cause) => {
    const isSettled = await isOverWithin(settled, UNDO_MS);
    if (cause instanceof OperationAbortedError) throw cause;
    throw await explain(cause, copying.step, target.process, isSettled);
  });
  return { result, settled };
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
  #folder: Promise<SocketFolder> | null = null;
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
    this.#undone.catch(() => {}); // heard by the one that waits for the other machine, if anybody does
  }

  run(): Promise<number> {
    const work = this.#run();
    this.#settled = work.catch(() => {});
    return work;
  }

  async #run(): Promise<number> {
    const uri = await this.#prepare();
    this.#enter("copying the memory");
    if (this.#options.standsStill) await this.#source.qmp.send("stop");
    this.#requireWanted();
    await this.#source.qmp.send("migrate", { uri });
    await this.#untilStill();
    this.#enter("freezing the disk");
    await this.#options.atPause();
    this.#enter("copying the rest");
    await this.#source.qmp.send("migrate-continue", { state: "pre-switchover" });
    await this.#unlessUndone(this.#sent.ended);
    this.#requireWanted();
    if (this.#options.goesOn()) await goOn(this.#source.qmp);
    await this.#unlessUndone(this.#received.ended);
    return this.#stoppedMs === 0 ? 0 : Math.max(0, this.#resumedMs - this.#stoppedMs);
  }

  /**
   * Ends what is under way; the guest goes on. What was asked of the source already is waited for first, however long it takes, and
   * nothing more is asked of it: a "stop" or a "migrate" that came after this would leave the guest standing for good.
   */
  async undo(): Promise<void> {
    this.#isUndone = true;
    this.#tellUndone();
    await this.#settled;
    await letGoOn(this.#source.qmp, this.#options.goesOn);
  }

  /** Nobody looks for the socket any more, nor listens at it. */
  async close(): Promise<void> {
    this.#stopListening();
    this.#sent.stopListening();
    this.#received.stopListening();
    await this.#folder?.then((folder) => folder.remove()).catch(() => {});
  }

  async #prepare(): Promise<string> {
    this.#folder = openSocketFolder(this.#options.folder);
    const uri = `unix:${(await this.#folder).socketPath}`;
    const { qmp } = this.#source;
    this.#requireWanted();
    const ready = Promise.all([
      prepareMigration(this.#target.qmp, false),
      this.#target.qmp.send("migrate-incoming", { uri }),
      prepareMigration(qmp, false, true),
      qmp.send("migrate-set-parameters", {
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

/** The caller that began the copy has its own error by then. */
class UndoneError extends Error {}

async function isOverWithin(work: Promise<void>, timeoutMs: number): Promise<boolean> {
  return bounded(work, { operation: "Going on", timeoutMs }).then(
    () => true,
    () => false,
  );
}

/** Where the receiver has ended, the sender only knows that nobody listens. */
async function explain(
  cause: unknown,
  step: CopyStep,
  receiver: CopyEnd["process"],
  isSettled: boolean,
): Promise<SmolVMError> {
  if (cause instanceof QmpError) await Promise.race([receiver.exited, sleep(LAST_WORDS_MS)]);
  // What is written to a mapped file of which no more fits on the disk ends like this.
  const isFull = receiver.exit?.signal === "SIGBUS";
  const words = receiver.exit?.reason ?? (cause instanceof Error ? cause.message : String(cause));
  const why = isFull ? "there is no space left for its memory" : words;
  const silence = isSettled ? "" : "; its QEMU does not answer, and goes on by itself as soon as it does";
  const failure = `${step} failed: ${ended(`${why.replace(/\.$/, "")}${silence}`)}`;
  return new SmolVMError("SAVE", `The machine could not be saved: ${failure}`, {
    cause,
    details: { step, isSettled },
    ...(isFull && {
      remediation: "Free some space on the file system of the state folder, or move it: SMOLVM_HOME.",
    }),
  });
}
