import { VMStateError } from "../../errors.ts";

export type VMStatus = "created" | "starting" | "running" | "paused" | "stopping" | "stopped" | "error";

/** Every change of state there is. "deleted" ends a machine and is never shown. */
const TRANSITIONS: Readonly<Record<VMStatus | "deleted", readonly (VMStatus | "deleted")[]>> = {
  created: ["starting", "deleted"],
  starting: ["running", "created", "stopped", "error", "deleted"],
  running: ["paused", "stopping", "error", "deleted"],
  paused: ["running", "stopping", "error", "deleted"],
  stopping: ["stopped", "error", "deleted"],
  stopped: ["starting", "deleted"],
  // The first two where QEMU lives on, and what had stopped its guest is over.
  error: ["running", "paused", "starting", "stopping", "stopped", "deleted"],
  deleted: [],
};

const WAY_OUT: Readonly<Record<VMStatus | "deleted", string>> = {
  created: "Call start() first.",
  starting: "Wait for start() to finish.",
  running: "Call stop() first.",
  paused: "Call resume() first.",
  stopping: "Wait for stop() to finish, then call start().",
  stopped: "Call start() first.",
  error: "Call start() to boot it again with its disk, or delete() to remove it.",
  deleted: "Create a new machine with SmolVM.create().",
};

export type Phase = VMStatus | "deleted";

/** A change of a machine's state. */
export interface StatusChange {
  readonly status: VMStatus;
  /** Why it is in "error", or was stopped or deleted by itself; null where there is nothing to say. */
  readonly reason: string | null;
  /** When it was seen, ISO 8601. */
  readonly at: string;
}

/** The one place a machine's state is kept. */
export class StatusCell {
  readonly #name: string;
  readonly #listeners = new Set<(change: StatusChange) => void>();
  #phase: Phase = "created";
  #reason = "";
  #since = new Date().toISOString();

  constructor(name: string) {
    this.#name = name;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Why the machine is in "error", or was stopped by itself. */
  get reason(): string {
    return this.#reason;
  }

  get since(): string {
    return this.#since;
  }

  /** How it stands now, as those hear of it who listen. */
  get shown(): StatusChange {
    // A deleted machine shows as stopped: nothing of it runs, and each call on it says that it is deleted.
    const status = this.#phase === "deleted" ? "stopped" : this.#phase;
    return { status, reason: this.#reason || null, at: this.#since };
  }

  /** VMStateError where the table has no such change. */
  change(to: Phase, verb: string, reason = ""): void {
    if (!TRANSITIONS[this.#phase].includes(to)) throw this.refusal(verb);
    this.#set(to, reason, new Date().toISOString());
  }

  /** Takes over what another process, which holds the machine, says of it. */
  follow(phase: Phase, reason: string, since: string): void {
    if (phase === this.#phase && reason === this.#reason) return;
    this.#set(phase, reason, since);
  }

  /** Hears of each change from now on; gives back how to stop listening. */
  onChange(listener: (change: StatusChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** VMStateError unless the machine is in one of `allowed`. */
  require(verb: string, ...allowed: readonly Phase[]): void {
    if (!allowed.includes(this.#phase)) throw this.refusal(verb);
  }

  refusal(verb: string): VMStateError {
    const why = this.#reason ? ` (${this.#reason.replace(/\.$/, "")})` : "";
    return new VMStateError(`Can't ${verb} machine "${this.#name}": ${asClause(this.#phase)}${why}.`, {
      remediation: WAY_OUT[this.#phase],
      details: { status: this.#phase, operation: verb, reason: this.#reason },
    });
  }

  #set(phase: Phase, reason: string, since: string): void {
    this.#phase = phase;
    this.#reason = reason;
    this.#since = since;
    for (const listener of [...this.#listeners]) listener(this.shown);
  }
}

function asClause(phase: Phase): string {
  if (phase === "created") return "it has not been started yet";
  return phase === "error" ? "it is in error" : `it is ${phase}`;
}
