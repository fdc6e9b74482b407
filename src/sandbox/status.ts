import { VMStateError } from "../errors.ts";

export type VMStatus = "created" | "starting" | "running" | "paused" | "stopping" | "stopped" | "error";

/** Every change of state there is. "deleted" ends a machine and is never shown. */
const TRANSITIONS: Readonly<Record<VMStatus | "deleted", readonly (VMStatus | "deleted")[]>> = {
  created: ["starting", "deleted"],
  starting: ["running", "created", "stopped", "error", "deleted"],
  running: ["paused", "stopping", "error", "deleted"],
  paused: ["running", "stopping", "error", "deleted"],
  stopping: ["stopped", "error", "deleted"],
  stopped: ["starting", "deleted"],
  error: ["starting", "stopped", "deleted"],
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

/** The one place a machine's state is kept. */
export class StatusCell {
  readonly #name: string;
  #phase: Phase = "created";
  #reason = "";

  constructor(name: string) {
    this.#name = name;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Why the machine is in "error". */
  get reason(): string {
    return this.#reason;
  }

  /** VMStateError where the table has no such change. */
  change(to: Phase, verb: string, reason = ""): void {
    if (!TRANSITIONS[this.#phase].includes(to)) throw this.refusal(verb);
    this.#phase = to;
    this.#reason = reason;
  }

  /** VMStateError unless the machine is in one of `allowed`. */
  require(verb: string, ...allowed: readonly Phase[]): void {
    if (!allowed.includes(this.#phase)) throw this.refusal(verb);
  }

  refusal(verb: string): VMStateError {
    const why = this.#reason ? ` (${this.#reason})` : "";
    return new VMStateError(`Can't ${verb} machine "${this.#name}": it is ${this.#phase}${why}.`, {
      remediation: WAY_OUT[this.#phase],
      details: { status: this.#phase, operation: verb, reason: this.#reason },
    });
  }
}
