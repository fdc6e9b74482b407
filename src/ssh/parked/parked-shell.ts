import { randomInt } from "node:crypto";
import { basename } from "node:path";
import { hasInput } from "../protocol/shell-code.ts";
import { languageOf } from "../protocol/waiting-code.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import { type SerialPorts, serialChannel } from "../transport/serial-channel.ts";
import type { Activity } from "../worker/activity.ts";
import { CUT, type Place } from "../worker/command-place.ts";
import type { GuestProcess } from "../worker/guest-process.ts";
import type { Link, LinkName } from "../worker/link.ts";
import { Worker } from "../worker/worker.ts";
import { runOnWorker } from "../worker/worker-process.ts";

/** What is to be known of a worker that was left in a saved machine. */
export interface LeftShell {
  /** The word that its lines begin with. */
  readonly token: string;
  /** Its process in the guest. */
  readonly pid: number;
  /** By what it is known to the keeper. */
  readonly name: LinkName;
  /** "bash", "dash", "sh" … */
  readonly loginShell: string;
}

export interface EarlyShellOptions {
  /** No command can have changed what its login shell has read. */
  readonly isFresh: boolean;
  readonly ports: SerialPorts;
  readonly left: LeftShell;
  /** The name that the restored machine has now. */
  readonly hostname: string;
  readonly activity: Activity;
  /** Ends a command, by its cgroup below ours and its worker's process, where no connection can. It may be lost on the way. */
  readonly endCommand: (cgroup: string, workerPid: number) => void;
  /** The connection that takes over; each one that asks waits for it. */
  readonly connect: () => Promise<Link>;
}

/** The number that a worker left behind has among the workers of its name: no connection deals it out. */
export const LEFT_SLOT = 0;
/** No machine's: it counts from 0. */
const STALE_EPOCH = -1;
/** While the first command is young it has the guest to itself; what is longer needs a keeper soon. */
const CONNECT_AFTER_MS = 600;
const END_AGAIN_MS = 500;

/**
 * The worker that a machine was saved with: its login shell has read the profile and waits. The first commands of a restored
 * machine run there, one after the other, until the SSH connection stands.
 */
export class EarlyShell implements Place {
  readonly whyCut = CUT;
  readonly lost: Promise<void>;
  /** Resolves when another shell may come to its ports. */
  readonly portsFree: Promise<void>;
  readonly #left: LeftShell;
  readonly #worker: Worker;
  readonly #activity: Activity;
  readonly #connect: () => Promise<Link>;
  readonly #endCommand: EarlyShellOptions["endCommand"];
  #connecting: Promise<Link> | null = null;
  /** Resolves when there is a connection, for whatever reason it was made. */
  readonly #connected: Promise<void>;
  #tellConnected = () => {};
  #link: Link | null = null;
  #state: "idle" | "busy" | "retired" = "idle";
  #isOpen = true;
  #wasUsed = false;

  constructor({ ports, left, isFresh, hostname, activity, connect, endCommand }: EarlyShellOptions) {
    this.#left = left;
    const said = `\u0001${left.token} ready ${left.pid}\n`;
    this.#worker = new Worker(serialChannel(ports, said), left.token, LEFT_SLOT);
    this.#worker.adopt({
      kind: "login",
      language: languageOf(left.loginShell) ?? "posix",
      epoch: isFresh ? activity.epoch : STALE_EPOCH,
      renewal: renewal(left.loginShell, hostname),
    });
    this.#activity = activity;
    this.#connect = connect;
    this.#endCommand = endCommand;
    this.#connected = new Promise((resolve) => {
      this.#tellConnected = resolve;
    });
    this.portsFree = ports.free;
    this.lost = ports.closed.then(() => {
      this.#isOpen = false;
      this.#state = "retired";
    });
  }

  get facts() {
    return this.#link?.facts ?? null;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The shell as it was left, where nobody has used it: a copy of this machine can. */
  get untouched(): LeftShell | null {
    return this.#state === "idle" && !this.#wasUsed ? this.#left : null;
  }

  /** The command's process; null where it has to wait for the connection. */
  start(spec: CommandSpec): GuestProcess | null {
    const suits = spec.terminal === null && spec.user === null && !hasInput(spec);
    if (this.#state !== "idle" || !suits) return null;
    this.#state = "busy";
    this.#wasUsed = true;
    const { standby } = this.#worker;
    const standbyIsFresh = standby?.epoch === this.#activity.epoch && this.#activity.running === 0;
    this.#activity.begin();
    setTimeout(() => void this.handOver(), CONNECT_AFTER_MS).unref();
    return runOnWorker(this.#worker, spec, {
      standbyIsFresh,
      isLast: false,
      onOver: (end, { isTainted, hasDeadline }) => {
        this.#activity.end();
        void this.handOver();
        if (end?.kind === "exited" && end.leftSomebody) this.#leaveToLink();
        else if (end === null || (end.kind === "exited" && !isTainted && !hasDeadline)) this.#state = "idle";
        else this.#retire();
        if (this.#link && this.#state === "idle") this.#retire();
      },
    });
  }

  /** Both ways: the command itself may have taken the network away. */
  async kill(process: GuestProcess): Promise<void> {
    if (process.isOver) return;
    process.taint();
    const end = () => this.#endCommand(`${basename(this.#left.name[0])}/${LEFT_SLOT}`, this.#left.pid);
    end();
    const again = setInterval(end, END_AGAIN_MS);
    again.unref();
    void process.ended.finally(() => clearInterval(again));
    await (await this.handOver())?.kill(process);
  }

  async signal(process: GuestProcess, name: string): Promise<void> {
    await (await this.handOver())?.signal(process, name);
  }

  /** Not worth a connection before it is made for the command's sake: to make one would only hold up the command. */
  async setDeadline(process: GuestProcess, seconds: number): Promise<void> {
    await Promise.race([this.#connected, process.ended]);
    if (!process.isOver) await this.#link?.setDeadline(process, seconds);
  }

  /** The connection whose keeper looks after what runs here too; the next commands go there. Null where it can't be made. */
  async handOver(): Promise<Link | null> {
    if (this.#link) return this.#link;
    this.#connecting ??= this.#connect();
    try {
      this.#link = await this.#connecting;
      this.#tellConnected();
    } catch {
      this.#connecting = null;
      return null;
    }
    if (this.#state === "idle") this.#retire();
    return this.#link;
  }

  /** The processes that its command left running may still write: the connection knows when they have ended. */
  #leaveToLink(): void {
    this.#state = "retired";
    void this.handOver().then((link) => link?.hold(this.#worker));
  }

  #retire(): void {
    this.#state = "retired";
    this.#worker.quit();
  }
}

/**
 * What a shell noted as it started, before the machine was saved: all clones would draw the same $RANDOM, and have the name and the
 * age of the saved one. dash notes none of it.
 */
function renewal(loginShell: string, hostname: string): string {
  const seed = `RANDOM=${randomInt(2 ** 31)};`;
  if (loginShell === "bash") return `${seed}SECONDS=0;HOSTNAME=${hostname};`;
  // busybox notes the name too, where it is built to.
  return loginShell === "dash" ? "" : `${seed}case $HOSTNAME in ?*)HOSTNAME=${hostname};;esac;`;
}
