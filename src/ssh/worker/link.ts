import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { bounded } from "../../util/bounded.ts";
import { Queue } from "../../util/queue.ts";
import {
  formatImageRequest,
  formatKeeperRequest,
  formatWorkerRequest,
  readGuestScript,
} from "../protocol/guest-scripts.ts";
import { fitIntoRequest } from "../protocol/long-code.ts";
import { formatTerminalCode, hasInput } from "../protocol/shell-code.ts";
import { introduce, newToken } from "../protocol/token.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import { Backoff } from "../transport/backoff.ts";
import { ChannelRefusedError, ConnectionLostError } from "../transport/channel.ts";
import type { SshConnection } from "../transport/ssh-connection.ts";
import type { Activity } from "./activity.ts";
import { CUT, type Place } from "./command-place.ts";
import { Endings } from "./command-termination.ts";
import { type GuestFacts, Keeper } from "./control-shell.ts";
import type { GuestProcess } from "./guest-process.ts";
import { Slots } from "./slots.ts";
import { terminalProcess } from "./terminal-process.ts";
import { Worker } from "./worker.ts";
import { WorkerPool } from "./worker-pool.ts";
import { runOnWorker } from "./worker-process.ts";

const CGROUP_ROOT = "/sys/fs/cgroup/smolvm";
/** The keeper starts when the first command has had the guest to itself for a while. */
const KEEPER_AFTER_MS = 250;
/** How many terminals are opened at a time. */
const MOST_OPENING = 4;
/** One that lived shorter has no successor at once. */
const YOUNG_KEEPER_MS = 5_000;
const LONGEST_PAUSE_MS = 30_000;
/** How long the end of a connection waits for it. */
const KEEPER_BOUND_MS = 2000;

/** By what a connection's things in the guest are known: its cgroup, and how the names of its files begin. */
export type LinkName = readonly [cgroup: string, notes: string];

export interface LinkOptions {
  readonly name: LinkName;
  readonly activity: Activity;
  /** Called when the guest has told of itself. */
  readonly onFacts: (facts: GuestFacts) => void;
  /** Connections that broke, whose commands may still run. */
  readonly broken: readonly LinkName[];
}

export function newLinkName(): LinkName {
  const id = randomBytes(4).toString("hex");
  return [`${CGROUP_ROOT}/${id}`, `smolvm.${id}`];
}

/** One connection, its keeper, and the workers on it. */
export class Link implements Place {
  readonly connection: SshConnection;
  /** Null until the keeper has spoken. */
  facts: GuestFacts | null = null;
  readonly #activity: Activity;
  readonly #onFacts: (facts: GuestFacts) => void;
  readonly #pool: WorkerPool;
  readonly name: LinkName;
  readonly #broken: readonly LinkName[];
  readonly #slots = new Slots();
  readonly #opening = new Queue(MOST_OPENING);
  readonly #endings = new Endings(this, this.#slots);
  /** How many commands began whose end was not heard of. */
  #unended = 0;
  #keeper: Promise<Keeper> | null = null;
  readonly #backoff = new Backoff(LONGEST_PAUSE_MS);
  /** For how long the next keeper waits, as the last ones ended young. */
  #keeperPauseMs = 0;
  /** This side has closed it. */
  wasClosed = false;
  /** A command has run to its end on it. */
  hasServed = false;
  /** A keeper lives, which ends everything when the connection goes. */
  #isKept = false;
  /** How many channels are open for commands, and how many the server lets us have at most. */
  #open = 0;
  #limit = Number.POSITIVE_INFINITY;

  constructor(connection: SshConnection, { name, activity, onFacts, broken }: LinkOptions) {
    this.name = name;
    this.#broken = broken;
    this.connection = connection;
    this.#activity = activity;
    this.#onFacts = onFacts;
    this.#pool = new WorkerPool(this, activity);
    setTimeout(() => void this.keeper().catch(() => {}), KEEPER_AFTER_MS).unref();
  }

  /** Whose commands may still run where this connection breaks before its keeper is there. */
  get unburied(): readonly LinkName[] {
    return [this.name, ...this.#broken];
  }

  /** Ends the connection, and by its keeper all that runs. A short command is often over before the keeper is there. */
  async close(): Promise<void> {
    this.wasClosed = true;
    if (this.connection.isOpen && this.mayHaveLeftSomebody) {
      const bounds = { operation: "Starting the keeper", timeoutMs: KEEPER_BOUND_MS };
      await bounded(this.keeper(), bounds).catch(() => {});
    }
    this.connection.close();
  }

  /** Whether something may run that no keeper will end when the connection goes. */
  get mayHaveLeftSomebody(): boolean {
    return !this.#isKept && (this.#unended > 0 || this.#broken.length > 0);
  }

  get isOpen(): boolean {
    return this.connection.isOpen;
  }

  get whyCut(): string {
    return this.connection.whyAbandoned ?? CUT;
  }

  get hasRoom(): boolean {
    return this.connection.isOpen && (this.#pool.hasIdle || this.#open < this.#limit);
  }

  /**
   * Where this command will run; it begins with `setSink`. `mayBeSurplus`: nobody else waits for a turn.
   * ChannelRefusedError, ConnectionLostError, the signal's reason: nothing was run.
   */
  async start(
    spec: CommandSpec,
    { mayBeSurplus, mayUseStandby }: { mayBeSurplus: boolean; mayUseStandby: boolean },
    signal: AbortSignal,
  ): Promise<GuestProcess> {
    if (spec.terminal !== null) return await this.#startInTurn(spec, signal);
    const worker = await this.#pool.take(spec, signal);
    const run = {
      standbyIsFresh: mayUseStandby && this.#pool.isFresh(worker),
      isLast: hasInput(spec) || (mayBeSurplus && this.#pool.isSurplus),
    };
    this.#begun();
    const process = runOnWorker(worker, spec, {
      ...run,
      onOver: (end, use) => {
        this.#over(end?.kind !== "gone");
        this.hasServed ||= end?.kind === "exited";
        if (end?.kind === "gone") void this.#endings.killRest(process);
        this.#pool.giveBack(worker, end, { ...use, isLast: run.isLast });
      },
    });
    return process;
  }

  /** Ends a worker that came by another way once the processes that its command left running have ended. */
  hold(worker: Worker): void {
    this.#pool.hold(worker);
  }

  async kill(process: GuestProcess): Promise<void> {
    await this.#endings.kill(process);
  }

  async signal(process: GuestProcess, name: string): Promise<void> {
    await this.#endings.signal(process, name);
  }

  async setDeadline(process: GuestProcess, seconds: number): Promise<void> {
    await this.#endings.setDeadline(process, seconds);
  }

  async forgetDeadline(slot: number): Promise<void> {
    await this.#endings.forgetDeadline(slot);
  }

  /** The keeper, or its successor where it was killed. */
  keeper(): Promise<Keeper> {
    const current = this.#keeper;
    this.#keeper = current === null ? this.#startKeeper() : this.#replaceIfGone(current);
    this.#keeper.catch(() => {});
    return this.#keeper;
  }

  async #replaceIfGone(current: Promise<Keeper>): Promise<Keeper> {
    const keeper = await current.catch(() => null);
    return keeper && !keeper.isGone ? keeper : await this.#startKeeper();
  }

  async #startKeeper(): Promise<Keeper> {
    if (this.#keeperPauseMs > 0) await sleep(this.#keeperPauseMs, undefined, { ref: false });
    if (!this.connection.isOpen) throw new ConnectionLostError("the connection is gone");
    const startedMs = performance.now();
    const request = formatKeeperRequest([this.connection.account, ...this.name, ...this.#broken.flat()]);
    const keeper = new Keeper(await this.connection.exec(request, null));
    void keeper.gone.then(() => this.#noteKeeperAge(performance.now() - startedMs));
    this.facts = await keeper.facts;
    this.#onFacts(this.facts);
    this.#isKept = true;
    void keeper.gone.then(() => {
      if (!this.connection.isOpen) return; // it ends what the connection leaves
      this.#isKept = false; // somebody in the guest killed it
      this.keeper().catch(() => {});
    });
    return keeper;
  }

  #noteKeeperAge(ms: number): void {
    this.#keeperPauseMs = this.#backoff.pauseAfter(ms >= YOUNG_KEEPER_MS);
  }

  /** For the pool of this connection. */
  async openWorker(): Promise<Worker> {
    return await this.#openChannel(async (slot, token) => {
      const [cgroup, notes] = this.name;
      const own = `${cgroup}/workers`;
      const parameters = [own, this.#cgroupOf(slot), `${notes}.${slot}`, this.connection.account];
      const channel = await this.connection.exec(formatWorkerRequest(parameters), null);
      const worker = new Worker(channel, token, slot);
      introduce(channel, token);
      void worker.gone.then(() => this.#closed(slot));
      return worker;
    });
  }

  /** The server starts them one after the other: what waits for it there can't be taken back any more. */
  async #startInTurn(spec: CommandSpec, signal: AbortSignal): Promise<GuestProcess> {
    const leave = await this.#opening.enter(signal);
    try {
      const process = await this.#startInTerminal(spec);
      void process.ready.then(leave);
      return process;
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #startInTerminal(spec: CommandSpec): Promise<GuestProcess> {
    return await this.#openChannel(async (slot, token) => {
      const notes = `${this.name[1]}.${slot}`;
      const inFile = { name: `${notes}.code`, isSecret: Object.keys(spec.env).length > 0 };
      const { code, file } = await fitIntoRequest(formatTerminalCode(spec), inFile, this.connection);
      const parameters = [this.#cgroupOf(slot), code, notes, this.connection.account, file];
      const request = formatImageRequest(readGuestScript("exec-terminal"), parameters);
      const channel = await this.connection.exec(request, spec.terminal);
      introduce(channel, token);
      this.#begun();
      void channel.closed.then(() => this.#closed(slot));
      const isInteractive = spec.shell === "interactive";
      const onOver = (isKnown: boolean) => this.#over(isKnown);
      return terminalProcess({ channel, token, slot, isInteractive, onOver });
    });
  }

  #begun(): void {
    this.#activity.begin();
    this.#unended++;
  }

  #over(isKnown: boolean): void {
    this.#activity.end();
    if (isKnown) this.#unended--;
  }

  async #openChannel<T>(open: (slot: number, token: string) => Promise<T>): Promise<T> {
    // The server may have as many of us as it lets in before the keeper asks, without which nothing can be ended.
    if (this.#open > 0 && this.#keeper === null) this.keeper().catch(() => {});
    const slot = this.#slots.take();
    this.#open++;
    try {
      return await open(slot, newToken());
    } catch (error) {
      this.#closed(slot);
      if (error instanceof ChannelRefusedError) this.#limit = Math.max(1, this.#open);
      throw error;
    }
  }

  #closed(slot: number): void {
    this.#open--;
    this.#slots.holdFor(slot, this.forgetDeadline(slot)).catch(() => {});
    this.#slots.release(slot);
  }

  #cgroupOf(slot: number): string {
    return this.facts?.cgroups === false ? "" : `${this.name[0]}/${slot}`;
  }
}
