import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ChannelRefusedError, ConnectionLostError } from "./channel.ts";
import type { SshConnection } from "./connection.ts";
import { formatRequest, readGuestScript } from "./guest-scripts.ts";
import { GuestShell } from "./guest-shell.ts";
import { type GuestFacts, Keeper } from "./keeper.ts";
import { formatTerminalCode } from "./shell-code.ts";
import type { CommandSpec } from "./spec.ts";

const CGROUP_ROOT = "/sys/fs/cgroup/smolvm";
/** The cgroups that the keeper makes as it starts; later ones are made by the command that needs one. */
const READY_SLOTS = [1, 2, 3, 4];

const MOST_DRAINED = 32;

/** One connection, the keeper on it, and the shells that run commands over it. */
export class Link {
  readonly connection: SshConnection;
  readonly #cgroup = `${CGROUP_ROOT}/${randomBytes(4).toString("hex")}`;
  readonly #freeSlots = [...READY_SLOTS];
  #lastSlot = READY_SLOTS.length;
  #keeper: Promise<Keeper> | null = null;
  #drained: GuestShell[] = [];
  /** Null until the keeper has spoken. */
  facts: GuestFacts | null = null;
  /** How many shells are open now, and how many the server let us have at most. */
  #open = 0;
  #limit = Number.POSITIVE_INFINITY;
  /** The login shell understood nothing of what we sent it: /bin/sh goes first. */
  #isForeign: boolean;

  constructor(connection: SshConnection, isForeign: boolean) {
    this.connection = connection;
    this.#isForeign = isForeign;
    void this.keeper().catch(() => {});
  }

  get hasRoom(): boolean {
    return this.connection.isOpen && this.#open < this.#limit;
  }

  get isForeign(): boolean {
    return this.#isForeign;
  }

  /** Starts a shell that waits for this command (in a terminal: runs it). ChannelRefusedError, ConnectionLostError. */
  async startShell(spec: CommandSpec): Promise<GuestShell> {
    const slot = this.#freeSlots.shift() ?? ++this.#lastSlot;
    this.#open++;
    try {
      const token = `smolvm-${randomBytes(8).toString("hex")}`;
      const request = this.#formatBoot(spec, token, slot);
      const channel = await this.connection.exec(request, spec.terminal);
      return new GuestShell(channel, token, slot, spec.terminal !== null);
    } catch (error) {
      this.#open--;
      this.#freeSlots.push(slot);
      if (error instanceof ChannelRefusedError) this.#limit = Math.max(1, this.#open);
      throw error;
    }
  }

  /** True the first time: it is worth trying again with /bin/sh in front. */
  suspectForeignShell(): boolean {
    const isNew = !this.#isForeign;
    this.#isForeign = true;
    return isNew;
  }

  /** Kills all that a command started. Resolves when nothing of it is alive; never rejects. */
  async kill(shell: GuestShell): Promise<void> {
    const facts = await Promise.race([shell.ready, sleep(100, null, { ref: false })]);
    const ward = { slot: shell.slot, pid: facts?.pid ?? 0 };
    try {
      while (await (await this.keeper()).kill(ward)) await sleep(5);
    } catch {
      if (this.connection.isOpen) await this.kill(shell); // a keeper that was killed has a successor
    }
  }

  /** Sends a signal ("TERM") to every process of a command. Never rejects. */
  async signal(shell: GuestShell, name: string): Promise<void> {
    const facts = await shell.ready;
    if (!facts) return;
    await (await this.keeper()).signal({ slot: shell.slot, pid: facts.pid }, name).catch(() => {});
  }

  async setDeadline(shell: GuestShell, seconds: number): Promise<void> {
    const facts = await shell.ready;
    if (!facts) return;
    await (await this.keeper()).setDeadline({ slot: shell.slot, pid: facts.pid }, seconds).catch(() => {});
  }

  /** Resolves when what the guest had written before has arrived. */
  async sync(): Promise<void> {
    await (await this.keeper()).sync();
  }

  /**
   * Somebody still holds the stdout of a command that is over: reading goes on, so that he does not die of writing.
   * dropbear closes such channels by itself, OpenSSH's server doesn't; the oldest goes when there are many.
   */
  keepDrained(shell: GuestShell): void {
    shell.setSink(() => true);
    this.#drained.push(shell);
    void shell.channel.closed.then(() => {
      this.#drained = this.#drained.filter((other) => other !== shell);
    });
    if (this.#drained.length > MOST_DRAINED) this.#drained.shift()?.channel.close();
  }

  /** The command is over: what it left running lives on, its cgroup is free again. Never rejects. */
  async release(shell: GuestShell): Promise<void> {
    void shell.channel.closed.then(() => this.#open--);
    try {
      const keeper = await this.keeper();
      const leftovers = await keeper.ended({ slot: shell.slot, pid: shell.facts?.pid ?? 0 });
      if (!leftovers.isStuck) this.#freeSlots.push(shell.slot);
    } catch {
      // Gone with the connection, or with the keeper: then the number is not used again.
    }
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
    const request = formatRequest(readGuestScript("keeper"), [this.#cgroup], this.#isForeign);
    const keeper = new Keeper(await this.connection.exec(request, null));
    this.facts = await keeper.facts;
    return keeper;
  }

  #formatBoot(spec: CommandSpec, token: string, slot: number): string {
    const cgroup = this.facts?.cgroups === false ? "" : `${this.#cgroup}/${slot}`;
    const kind = spec.user === null ? spec.shell : "raw";
    if (spec.terminal === null) {
      return formatRequest(readGuestScript("exec-boot"), [token, cgroup, kind], this.#isForeign);
    }
    const code = formatTerminalCode(spec, token);
    return formatRequest(readGuestScript("exec-terminal"), [token, cgroup, kind, code], this.#isForeign);
  }
}
