import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationAbortedError,
  OperationTimeoutError,
} from "../../errors.ts";
import type { Named } from "../../util/names.ts";
import { quoteWord } from "../../util/quote.ts";
import { shortCommand } from "../../util/short-command.ts";
import { tameLine, tameWords } from "../../util/tame.ts";
import type { NeverRan } from "../protocol/guest-words.ts";
import type { CommandSpec } from "../spec/command-spec.ts";
import type { ExitStatus } from "../transport/channel.ts";
import type { StopReason } from "./stopper.ts";

interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** Of what a shell said, in a message. */
const LONGEST_WORDS = 300;
/** In their place; nobody's words, and so never in quotes. */
const SILENCE = "it said nothing";
/** What helps where the machine has stopped. */
export const START_AGAIN = "Call start() to boot the machine again.";

/** The errors that say what became of a command that has no result. */
export class Fate {
  readonly #spec: CommandSpec;
  readonly #vm: Named | null;

  /** The machine is null as long as it is not known. */
  constructor(spec: CommandSpec, vm: Named | null) {
    this.#spec = spec;
    this.#vm = vm;
  }

  /** The guest said that it did not get as far as the command. */
  neverRan(why: Exclude<NeverRan, "unbegun">): CommandExecutionUnavailableError {
    const { cwd, user, shell } = this.#spec;
    const [reason, remediation] = {
      cwd: [
        `the folder ${cwd} can't be entered; the command never ran.`,
        `Create it first: mkdir -p ${quoteWord(cwd ?? "")}`,
      ],
      "user unknown":
        user === null
          ? [
              "the guest has no such user as the machine's sshUser; the command never ran.",
              // None of this machine's commands could make it: each would run as that user.
              "Create the machine without sshUser, which is root then, and name the user of a command by its option `user`.",
            ]
          : [
              `the guest has no user "${user}"; the command never ran.`,
              `Create it first: useradd -m ${user}`,
            ],
      "user denied": [
        `only root can run commands as "${user}"; the command never ran.`,
        'Leave `user` out, or create the machine with sshUser: "root".',
      ],
      shell: [
        `the guest has no ${shell === "raw" ? "/bin/sh" : "login shell for it"}; the command never ran.`,
        shell === "raw"
          ? "Install one in the guest."
          : 'Mend the user\'s shell in /etc/passwd, or use shell: "raw".',
      ],
      gone: ["the shell that was to run it had ended.", "Run it again."],
    }[why];
    return this.unavailable(reason ?? why, remediation ?? "Run it again.");
  }

  /** Its shell has ended before the first byte of it was read, having printed that. */
  unbegun(status: ExitStatus | null, printed: Printed): CommandExecutionUnavailableError {
    const how =
      status === null ? "" : "signal" in status ? ` by ${status.signal}` : ` with status ${status.code}`;
    const last = tameWords(wordsOf(printed).slice(-LONGEST_WORDS));
    return this.unavailable(
      `its shell ended${how} before the command began: ${last ? `"${last}"` : SILENCE}.`,
      this.#spec.shell === "raw"
        ? "Make the command shorter, or see what is wrong with /bin/sh in the guest."
        : 'Mend the user\'s profile in the guest, which may not end the shell, or use shell: "raw".',
    );
  }

  /** `printed` is what the guest said instead. */
  notStarted(printed: Printed): CommandExecutionUnavailableError {
    return this.unavailable(
      `the guest's shell did not start: ${tameWords(wordsOf(printed)) || SILENCE}`,
      "Check the user's login shell in the guest.",
    );
  }

  unavailable(reason: string, remediation: string, cause?: unknown): CommandExecutionUnavailableError {
    const { id, name } = this.#vm ?? { id: "(not started)", name: undefined };
    return new CommandExecutionUnavailableError(id, tameLine(reason), remediation, { vmName: name, cause });
  }

  /** Its shell was started and told what to do, and then nothing more was heard of it. */
  outcomeUnknown(why: string, printed: Printed): CommandOutcomeUnknownError {
    return new CommandOutcomeUnknownError(
      `What became of ${this.#what.replace("The", "the")} in machine ${this.#vm ? `"${this.#vm.name}"` : "(not started)"} is unknown: ${tameLine(why)}.`,
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
        return wasSent ? this.outcomeUnknown(reason.why, printed) : this.unavailable(reason.why, START_AGAIN);
    }
  }

  get #what(): string {
    const { command, shell } = this.#spec;
    if (shell === "interactive") return "The shell";
    return `The command ${JSON.stringify(shortCommand(command))}`;
  }
}

function wordsOf({ stdout, stderr }: Printed): string {
  return stderr.trim() || stdout.trim();
}
