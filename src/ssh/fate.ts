import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationAbortedError,
  OperationTimeoutError,
} from "../errors.ts";
import type { NeverRan } from "./shell-code.ts";
import type { CommandSpec } from "./spec.ts";
import type { StopReason } from "./stop.ts";

interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** The errors that say what became of a command that has no result. */
export class Fate {
  readonly #spec: CommandSpec;
  readonly #vmId: string;

  /** The machine is null as long as it is not known. */
  constructor(spec: CommandSpec, vmId: string | null) {
    this.#spec = spec;
    this.#vmId = vmId ?? "(not started)";
  }

  /** The guest said that it did not get as far as the command. */
  neverRan(why: NeverRan): CommandExecutionUnavailableError {
    const { cwd, user } = this.#spec;
    const [reason, remediation] = {
      cwd: [`the folder ${cwd} can't be entered; the command never ran.`, `Create it first: mkdir -p ${cwd}`],
      "user unknown": [
        `the guest has no user "${user}"; the command never ran.`,
        `Create it first: useradd -m ${user}`,
      ],
      "user denied": [
        `only root can run commands as "${user}"; the command never ran.`,
        'Leave `user` out, or create the machine with sshUser: "root".',
      ],
      gone: ["the shell that was to run it had ended.", "Run it again."],
    }[why];
    return this.unavailable(reason ?? why, remediation ?? "Run it again.");
  }

  /** `words` is what the guest said instead. */
  notStarted(words: string): CommandExecutionUnavailableError {
    return this.unavailable(
      `the guest's shell did not start: ${words}`,
      "Check the user's login shell in the guest.",
    );
  }

  unavailable(reason: string, remediation: string, cause?: unknown): CommandExecutionUnavailableError {
    return new CommandExecutionUnavailableError(this.#vmId, reason, remediation, { cause });
  }

  /** Its shell was started and told what to do, and then nothing more was heard of it. */
  outcomeUnknown(why: string, printed: Printed): CommandOutcomeUnknownError {
    return new CommandOutcomeUnknownError(
      `What became of ${this.#what.replace("The", "the")} in machine ${this.#vmId} is unknown: ${why}.`,
      printed,
      { remediation: "Find out in the guest whether it did its work before running it again." },
    );
  }

  stopped(reason: StopReason, wasSent: boolean, printed: Printed): unknown {
    switch (reason.kind) {
      case "timeout":
        return new OperationTimeoutError(this.#what, (this.#spec.timeoutMs ?? 0) / 1000, printed);
      case "aborted":
        return new OperationAbortedError(this.#what, printed, { cause: reason.cause });
      case "killed":
        return new OperationAbortedError(`${this.#what}, killed before it began,`, printed);
      case "failed":
        return reason.error;
      case "died":
        return wasSent
          ? this.outcomeUnknown(reason.why, printed)
          : this.unavailable(reason.why, "Call start() to boot the machine again.");
    }
  }

  get #what(): string {
    const { command, shell } = this.#spec;
    if (shell === "interactive") return "The shell";
    const text = typeof command === "string" ? command : command.join(" ");
    const line = text.trim().replace(/\s+/g, " ");
    return `The command ${JSON.stringify(line.length > 60 ? `${line.slice(0, 57)}…` : line)}`;
  }
}
