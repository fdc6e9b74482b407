import { needsShell } from "../protocol/shell-code.ts";
import { languageOf } from "../protocol/waiting-code.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import { Backoff } from "../transport/backoff.ts";
import type { Activity } from "./activity.ts";
import type { GuestFacts, Keeper } from "./control-shell.ts";
import type { ChildEnd, Standby, Worker } from "./worker.ts";

/** How many workers wait for commands where nothing runs: one for each kind of shell. */
const KEPT_IDLE = 2;
/** Starting one costs the guest more than a short command: with four at a time 16 commands at once took half as long again. */
const MOST_OPENING = 2;
/** How many whose command left somebody running; the oldest is let go first. */
const MOST_HELD = 32;
/** A shell is started ahead of time when the guest has been idle for so long: one of each kind that was wanted lately. */
const IDLE_MS = 4;
/** Another kind may take the guest's time from the next command, and is in less haste. */
const LONG_IDLE_MS = 500;
const LATELY = 3;
/** For how long none is started where the last one has ended without a word: its profile does not let it. */
const UNFIT_MS = 60_000;
const LONGEST_STALE_MS = 30_000;
/** How soon, at first, it is looked again whether the processes that commands left running have ended. */
const LOOK_AGAIN_MS = 250;
const LOOK_AGAIN_AT_MOST_MS = 60_000;
/** Below this the guest has better use for its memory. */
const LEAST_FREE_KIB = 32 * 1024;

/** What the pool needs of its connection. */
interface Home {
  keeper(): Promise<Keeper>;
  openWorker(): Promise<Worker>;
  forgetDeadline(slot: number): Promise<void>;
  readonly facts: GuestFacts | null;
}

/** What is known of a worker whose command is over. */
export interface Use {
  readonly isTainted: boolean;
  readonly hasDeadline: boolean;
  readonly isLast: boolean;
  /** The shell that it was given to, which had been started ahead of time. */
  readonly standby: Standby | null;
}

/** The workers of one connection that wait for a command, and those that wait for what a command left behind. */
export class WorkerPool {
  readonly #home: Home;
  readonly #activity: Activity;
  #idle: Worker[] = [];
  #held: Worker[] = [];
  #busy = 0;
  #opening = 0;
  #waiting: (() => void)[] = [];
  /** The kinds of shell that were wanted last, the latest first. */
  #wanted: Standby["kind"][] = [];
  /** How many in a row have wanted the same kind as the one before. */
  #inARow = 0;
  #timer: NodeJS.Timeout | null = null;
  #lookAgainMs = LOOK_AGAIN_MS;
  #unfitUntilMs = 0;
  /** None is started ahead of time until then, and longer each time: somebody else uses the guest too, and those that waited were stale. */
  #staleUntilMs = 0;
  readonly #staleBackoff = new Backoff(LONGEST_STALE_MS);

  constructor(home: Home, activity: Activity) {
    this.#home = home;
    this.#activity = activity;
  }

  get hasIdle(): boolean {
    return this.#idle.length > 0;
  }

  /** More workers than are kept, and nobody waits for one: it may end with its command. */
  get isSurplus(): boolean {
    return this.#waiting.length === 0 && this.#idle.length + this.#busy > KEPT_IDLE;
  }

  /**
   * A worker for this command: the best of those who are idle, or a new one. Only a few new ones start at a time: where
   * commands are short, one that has done its work is there sooner than one more. Rejects where `signal` is aborted before
   * its turn, or as opening one does.
   */
  async take(spec: CommandSpec, signal: AbortSignal): Promise<Worker> {
    const kind = spec.shell === "login" ? "login" : "raw";
    if (needsShell(spec)) this.#want(kind);
    if (this.#waiting.length > 0 || this.#isFull)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    while (this.#isFull && !signal.aborted)
      await new Promise<void>((resolve) => this.#waiting.unshift(resolve));
    if (signal.aborted) {
      this.#waiting.shift()?.();
      throw signal.reason;
    }
    this.#busy++;
    const worker =
      this.#idle.find((one) => one.standby?.kind === kind && this.isFresh(one)) ??
      this.#idle.find(({ standby }) => standby === null) ??
      this.#idle[0];
    this.#idle = this.#idle.filter((one) => one !== worker);
    try {
      return worker ?? (await this.#openOne());
    } catch (error) {
      this.#busy--;
      throw error;
    }
  }

  #want(kind: Standby["kind"]): void {
    this.#inARow = kind === this.#wanted[0] ? this.#inARow + 1 : 0;
    this.#wanted = [kind, ...this.#wanted.filter((other) => other !== kind)];
  }

  get #isFull(): boolean {
    return this.#idle.length === 0 && this.#opening >= MOST_OPENING;
  }

  async #openOne(): Promise<Worker> {
    this.#opening++;
    const opened = () => {
      this.#opening--;
      this.#waiting.shift()?.();
    };
    try {
      const worker = await this.#home.openWorker();
      void worker.ready.then(opened);
      void worker.gone.then(() => this.#strikeOff(worker)); // once: what waits for it is kept in memory until then
      return worker;
    } catch (error) {
      opened();
      throw error;
    }
  }

  #strikeOff(worker: Worker): void {
    this.#idle = this.#idle.filter((other) => other !== worker);
    this.#held = this.#held.filter((other) => other !== worker);
  }

  /** One more that waits, as each has one shell ready of one kind. */
  async #openSpare(): Promise<Worker | undefined> {
    if (this.#idle.length >= KEPT_IDLE || this.#busy + this.#opening > 0) return undefined;
    const worker = await this.#openOne();
    await worker.ready;
    this.#keep(worker);
    return this.#idle.includes(worker) ? worker : undefined;
  }

  /** No command has begun or ended since its shell was started, but for the one that is to begin. */
  isFresh({ standby }: Worker): boolean {
    return standby !== null && standby.epoch === this.#activity.epoch && this.#activity.running === 0;
  }

  /** Its command is over; null: it was never begun. */
  giveBack(worker: Worker, end: ChildEnd | null, use: Use): void {
    this.#busy--;
    if (use.standby && end) this.#noteStandby(end);
    if (end?.kind === "gone") this.#waiting.shift()?.();
    else if (end?.kind === "exited" && end.leftSomebody) this.#hold(worker, use.isTainted);
    else if (worker.endsByItself || (end !== null && this.#isSpent(end, use))) worker.quit();
    else if (use.hasDeadline) this.#keepAfterDeadline(worker);
    else this.#keep(worker);
    this.#whenIdle();
  }

  #noteStandby(end: ChildEnd): void {
    if (end.kind === "gone") return;
    const wasStale = end.kind === "never ran" && end.why === "gone";
    this.#staleUntilMs = performance.now() + this.#staleBackoff.pauseAfter(!wasStale);
  }

  #isSpent(end: ChildEnd, { isTainted, isLast }: Use): boolean {
    return end.kind === "never ran" || isTainted || isLast;
  }

  #keep(worker: Worker): void {
    if (this.#idle.length >= KEPT_IDLE && this.#waiting.length === 0) {
      worker.quit();
      return;
    }
    if (!worker.isGone) this.#idle.push(worker);
    this.#waiting.shift()?.();
  }

  /** The guest must not end the worker's next command by the deadline of this one. */
  #keepAfterDeadline(worker: Worker): void {
    this.#home
      .forgetDeadline(worker.slot)
      .then(() => {
        this.#keep(worker);
        this.#whenIdle();
      })
      .catch(() => worker.quit());
  }

  /** Keeps a worker that is not the pool's while the processes live that its command left running, and ends it then. */
  hold(worker: Worker): void {
    this.#hold(worker, false);
    this.#whenIdle();
  }

  /** Whom it left running may write to its pipes, which are open as long as the worker is there. */
  #hold(worker: Worker, isTainted: boolean): void {
    if (worker.isGone) return;
    if (isTainted) this.#letGo(worker);
    else this.#held.push(worker);
    if (this.#held.length > MOST_HELD) this.#letGo(this.#held.shift() ?? worker);
  }

  /** The end of its input says nothing to one that was to end with its command, and waits for what it left running. */
  #letGo(worker: Worker): void {
    worker.quit();
    this.#home
      .keeper()
      .then((keeper) => keeper.dismiss(worker.pid))
      .catch(() => {});
  }

  #whenIdle(): void {
    this.#lookAgainMs = LOOK_AGAIN_MS;
    const kinds = this.#inARow < LATELY ? this.#wanted : this.#wanted.slice(0, 1);
    this.#prepareAfter(IDLE_MS, () => {
      this.#prepareAfter(LONG_IDLE_MS, () => void this.#prepare(this.#wanted).catch(() => {}));
      void this.#prepare(kinds).catch(() => {});
    });
  }

  #prepareAfter(idleMs: number, prepare: () => void): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(prepare, idleMs);
    this.#timer.unref();
  }

  /** Processes that commands left running end without a word. */
  #lookAgain(): void {
    if (this.#held.length === 0) return;
    this.#prepareAfter(this.#lookAgainMs, () => void this.#prepare(this.#wanted).catch(() => {}));
    this.#lookAgainMs = Math.min(2 * this.#lookAgainMs, LOOK_AGAIN_AT_MOST_MS);
  }

  /** Starts shells ahead of time, where nothing runs that could change what they see. */
  async #prepare(kinds: readonly Standby["kind"][]): Promise<void> {
    const { epoch, running } = this.#activity;
    if (running > 0 || this.#idle.length + this.#held.length === 0) return;
    const held = [...this.#held];
    const { anyAlive, freeKib } = await (await this.#home.keeper()).lookAround();
    if (!anyAlive) {
      this.#held = this.#held.filter((worker) => !held.includes(worker));
      for (const worker of held) this.#letGo(worker);
    }
    if (this.#activity.epoch !== epoch) return;
    if (anyAlive) return this.#lookAgain();
    if (freeKib < LEAST_FREE_KIB) return;
    const isPausing = performance.now() < this.#staleUntilMs;
    for (const kind of isPausing ? [] : kinds) {
      const language = kind === "raw" ? "posix" : languageOf(this.#home.facts?.loginShell ?? "");
      if (language === null || (kind === "login" && performance.now() < this.#unfitUntilMs)) continue;
      if (this.#idle.some((worker) => worker.standby?.kind === kind && this.isFresh(worker))) continue;
      const worker = this.#idle.find((one) => !this.isFresh(one)) ?? (await this.#openSpare());
      if (this.#activity.epoch !== epoch) return;
      // One after the other: so the kind that was wanted last is ready sooner. Where the shell is dismissed for a command this never
      // resolves: nothing more is prepared here, but when that command has ended.
      const isReady = await worker?.prepare({ kind, language, epoch }, this.#home.facts?.isRoot ?? false);
      if (isReady === false && kind === "login") this.#unfitUntilMs = performance.now() + UNFIT_MS;
      if (this.#activity.epoch !== epoch) return;
    }
    for (const worker of this.#idle) worker.forkChild();
  }
}
