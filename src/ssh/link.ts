import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Activity } from "./activity.ts";
import { ChannelRefusedError, ConnectionLostError } from "./channel.ts";
import type { SshConnection } from "./connection.ts";
import { formatKeeperRequest, formatRequest, formatWorkerRequest, readGuestScript } from "./guest-scripts.ts";
import { type GuestFacts, Keeper } from "./keeper.ts";
import type { GuestProcess } from "./process.ts";
import { formatTerminalCode, hasInput } from "./shell-code.ts";
import type { CommandSpec } from "./spec.ts";
import { terminalProcess } from "./terminal-process.ts";
import { Worker } from "./worker.ts";
import { WorkerPool } from "./worker-pool.ts";
import { runOnWorker } from "./worker-process.ts";

const CGROUP_ROOT = "/sys/fs/cgroup/smolvm";
/** The keeper starts when the first command has had the guest to itself for a while. */
const KEEPER_AFTER_MS = 100;
/** How long the end of a connection waits for it. */
const KEEPER_BOUND_MS = 2000;

/** By what a connection's things in the guest are known: its cgroup, and how the names of its files begin. */
export type LinkName = readonly [cgroup: string, notes: string];

export interface LinkOptions {
  readonly activity: Activity;
  readonly isForeign: boolean;
  /** Called when the guest has told of itself. */
  readonly onFacts: (facts: GuestFacts) => void;
  /** Connections that broke, whose commands may still run. */
  readonly broken: readonly LinkName[];
}

/** One connection, its keeper, and the workers on it. */
export class Link {
  readonly connection: SshConnection;
  /** Null until the keeper has spoken. */
  facts: GuestFacts | null = null;
  isForeign: boolean;
  readonly #activity: Activity;
  readonly #onFacts: (facts: GuestFacts) => void;
  readonly #pool: WorkerPool;
  readonly name: LinkName;
  readonly #broken: readonly LinkName[];
  readonly #freeSlots: number[] = [];
  #lastSlot = 0;
  /** How many commands began whose end was not heard of. */
  #unended = 0;
  #keeper: Promise<Keeper> | null = null;
  /** How many channels are open for commands, and how many the server lets us have at most. */
  #open = 0;
  #limit = Number.POSITIVE_INFINITY;

  /** `isForeign`: the login shell is known to be no POSIX shell. */
  constructor(connection: SshConnection, { activity, isForeign, onFacts, broken }: LinkOptions) {
    const id = randomBytes(4).toString("hex");
    this.name = [`${CGROUP_ROOT}/${id}`, `smolvm.${id}`];
    this.#broken = broken;
    this.connection = connection;
    this.isForeign = isForeign;
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
    if (this.connection.isOpen && this.mayHaveLeftSomebody) {
      await Promise.race([this.keeper().catch(() => {}), sleep(KEEPER_BOUND_MS, undefined, { ref: false })]);
    }
    this.connection.close();
  }

  /** Whether something may run that no keeper will end when the connection goes. */
  get mayHaveLeftSomebody(): boolean {
    return this.facts === null && (this.#unended > 0 || this.#broken.length > 0);
  }

  get hasRoom(): boolean {
    return this.connection.isOpen && (this.#pool.hasIdle || this.#open < this.#limit);
  }

  /**
   * Where this command will run; it begins with `setSink`. `mayBeSurplus`: nobody else waits for a turn.
   * ChannelRefusedError, ConnectionLostError: nothing was run.
   */
  async start(spec: CommandSpec, mayBeSurplus: boolean): Promise<GuestProcess> {
    if (spec.terminal !== null) return await this.#startInTerminal(spec);
    const worker = await this.#pool.take(spec, () => this.#openWorker());
    const run = {
      standbyIsFresh: this.#pool.isFresh(worker),
      isLast: hasInput(spec) || (mayBeSurplus && this.#pool.isSurplus),
    };
    this.#begun();
    const process = runOnWorker(worker, spec, {
      ...run,
      onOver: (end, use) => {
        this.#over(end?.kind !== "gone");
        if (end?.kind === "gone" && this.connection.isOpen) void this.kill(process);
        this.#pool.giveBack(worker, end, { ...use, isLast: run.isLast });
      },
    });
    return process;
  }

  /** Kills all that a command started. Resolves when nothing of it is alive; never rejects. */
  async kill(process: GuestProcess): Promise<void> {
    process.taint();
    try {
      while (await (await this.keeper()).kill(process.ward)) await sleep(5);
    } catch {
      if (this.connection.isOpen) await this.kill(process); // a keeper that was killed has a successor
    }
  }

  /** Sends a signal ("TERM") to every process of a command. Never rejects. */
  async signal(process: GuestProcess, name: string): Promise<void> {
    process.taint();
    await process.ready;
    await this.keeper()
      .then((keeper) => keeper.signal(process.ward, name))
      .catch(() => {});
  }

  /** Has the guest end the command by itself in so many seconds. */
  async setDeadline(process: GuestProcess, seconds: number): Promise<void> {
    process.noteDeadline();
    await (await this.keeper()).setDeadline(process.ward, seconds);
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
    if (!this.connection.isOpen) throw new ConnectionLostError("the connection is gone");
    const request = formatKeeperRequest([...this.name, ...this.#broken.flat()]);
    const keeper = new Keeper(await this.connection.exec(request, null));
    this.facts = await keeper.facts;
    this.#onFacts(this.facts);
    return keeper;
  }

  async #openWorker(): Promise<Worker> {
    return await this.#openChannel(async (slot, token) => {
      const [cgroup, notes] = this.name;
      const own = `${cgroup}/workers`;
      const parameters = [token, own, this.#cgroupOf(slot), `${notes}.${slot}`];
      const channel = await this.connection.exec(formatWorkerRequest(parameters, this.isForeign), null);
      void channel.closed.then(() => this.#closed(slot));
      return new Worker(channel, token, slot);
    });
  }

  async #startInTerminal(spec: CommandSpec): Promise<GuestProcess> {
    return await this.#openChannel(async (slot, token) => {
      const kind = spec.user === null ? spec.shell : "raw";
      const parameters = [token, this.#cgroupOf(slot), kind, formatTerminalCode(spec, token)];
      const request = formatRequest(readGuestScript("exec-terminal"), parameters);
      const channel = await this.connection.exec(request, spec.terminal);
      this.#begun();
      void channel.closed.then(() => this.#closed(slot));
      return terminalProcess(channel, token, slot, (isKnown) => this.#over(isKnown));
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
    const slot = this.#freeSlots.shift() ?? ++this.#lastSlot;
    this.#open++;
    try {
      return await open(slot, `smolvm-${randomBytes(8).toString("hex")}`);
    } catch (error) {
      this.#closed(slot);
      if (error instanceof ChannelRefusedError) this.#limit = Math.max(1, this.#open);
      throw error;
    }
  }

  #closed(slot: number): void {
    this.#open--;
    this.#freeSlots.push(slot);
  }

  #cgroupOf(slot: number): string {
    return this.facts?.cgroups === false ? "" : `${this.name[0]}/${slot}`;
  }
}
