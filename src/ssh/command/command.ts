import { setTimeout as sleep } from "node:timers/promises";
import type { CommandResult } from "../../errors.ts";
import type { Named } from "../../util/names.ts";
import type { Queue } from "../../util/queue.ts";
import type { EarlyShell } from "../parked/parked-shell.ts";
import { type CommandSpec, isEmpty, type OutputStream } from "../spec/command-spec.ts";
import { feedStdin, holdStdin } from "../spec/command-stdin.ts";
import type { TerminalSize } from "../spec/terminal.ts";
import { ConnectError } from "../transport/ssh-connection.ts";
import type { Place } from "../worker/command-place.ts";
import { type GuestProcess, hasNotBegun, type ProcessEnd, wasKilled } from "../worker/guest-process.ts";
import type { Links } from "../worker/links.ts";
import { Capture } from "./capture.ts";
import { CommandClock } from "./command-clock.ts";
import { Fate } from "./command-errors.ts";
import { formatResult, statusAsSent } from "./result.ts";
import { startProcess } from "./start-process.ts";
import { StoppedError, Stopper, type StopReason } from "./stopper.ts";

/** What all commands of one machine share. */
export interface Surroundings {
  readonly vm: Named;
  readonly queue: Queue;
  readonly links: Links;
  /** Null where the machine was not restored with one. */
  readonly early: EarlyShell | null;
  /** Those that are to be stopped when the machine goes. */
  readonly commands: Set<Command>;
}

/** Takes output in the order of its arrival; false: no more until `resume()`. What it throws ends the command. */
export type OutputObserver = (stream: OutputStream, bytes: Buffer) => boolean;

/** How long the guest may take to confirm that all is dead. */
const KILL_BOUND_MS = 700;
/** How long a broken connection may be all that is known of a machine's death. */
const DEATH_BOUND_MS = 250;
/** Commands that are over sooner don't cost the guest a deadline of its own. */
const GUEST_DEADLINE_AFTER_MS = 250;
/** A shell that waited may have ended just as it was wanted. */
const MOST_TRIES = 3;
const LONGEST_INTERVAL_MS = 2 ** 31 - 1;
/** How much later than the host's deadline the guest's is. */
const GUEST_DEADLINE_SLACK_MS = 2000;

/** A command under way. */
export class Command {
  /** Rejects with one of the errors that say what became of it. */
  readonly result: Promise<CommandResult>;
  /** Resolves when its shell is there; rejects as the result does. */
  readonly started: Promise<void>;
  readonly #spec: CommandSpec;
  readonly #observe: OutputObserver;
  readonly #stopper: Stopper;
  readonly #stdout: Capture;
  readonly #stderr: Capture;
  #fate: Fate;
  #onStarted: () => void = () => {};
  readonly #clock = new CommandClock();
  #running: { readonly place: Place; readonly process: GuestProcess } | null = null;
  #size: TerminalSize | null = null;
  readonly #settled: () => Promise<void>;
  readonly #letGoOfStdin: () => void;
  /** Nobody holds its output back any more: behind it comes the word that it has ended. */
  #isStopping = false;
  /** Its input is under way: what is gone of it can't be had again. */
  #isFed = false;
  /** The signal it was sent last. */
  #signalled: string | null = null;

  /**
   * The clock runs from here; `around` may take its time, as where a machine still starts. `settled` resolves when the observer is done with
   * all that it took.
   */
  constructor(
    spec: CommandSpec,
    observe: OutputObserver,
    around: Promise<Surroundings>,
    settled: () => Promise<void> = async () => {},
  ) {
    this.#spec = spec;
    this.#observe = observe;
    this.#settled = settled;
    this.#stopper = new Stopper(spec.timeoutMs, spec.signal);
    this.#stdout = new Capture(spec.maxOutputBytes);
    this.#stderr = new Capture(spec.maxOutputBytes);
    this.#fate = new Fate(spec, null);
    this.#letGoOfStdin = holdStdin(spec.stdin, (error) => this.stop({ kind: "failed", error }));
    const started = new Promise<void>((resolve) => {
      this.#onStarted = resolve;
    });
    this.result = this.#run(around);
    this.started = Promise.race([started, this.result.then(() => {})]);
    this.started.catch(() => {});
  }

  /** Lets output flow again after the observer returned false. */
  resume(): void {
    this.#running?.process.resume();
  }

  /** Sends a signal ("SIGTERM") to every process of the command. */
  kill(signalName: string): void {
    const { place, process } = this.#running ?? {};
    this.#signalled = signalName;
    if (!place || !process) this.stop({ kind: "killed" });
    else if (signalName === "SIGKILL") void place.kill(process);
    else void place.signal(process, signalName.replace(/^SIG/, ""));
  }

  /** Ends everything the command started; the first reason counts. */
  stop(reason: StopReason): void {
    this.#stopper.stop(reason);
  }

  resize(size: TerminalSize): void {
    this.#size = size;
    this.#running?.process.resize(size);
  }

  async #run(givenAround: Promise<Surroundings>): Promise<CommandResult> {
    // Who waits for a command is not to end before it; who only holds a machine may.
    const staying = setInterval(() => {}, LONGEST_INTERVAL_MS);
    try {
      const around = await this.#stopper.race(givenAround);
      this.#fate = new Fate(this.#spec, around.vm);
      around.commands.add(this);
      try {
        return await this.#runQueued(around);
      } finally {
        around.commands.delete(this);
      }
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearInterval(staying);
      this.#stopper.dispose();
      this.#letGoOfStdin();
    }
  }

  async #runQueued(around: Surroundings): Promise<CommandResult> {
    const leave = await around.queue.enter(this.#stopper.signal);
    this.#clock.noteTurn();
    try {
      for (let triesLeft = MOST_TRIES - 1; ; triesLeft--) {
        const result = await this.#runOnce(around, triesLeft);
        if (result !== null) return result;
      }
    } finally {
      leave();
    }
  }

  /** Null: it is worth another try. */
  async #runOnce(around: Surroundings, triesLeft: number): Promise<CommandResult | null> {
    const isFirst = triesLeft === MOST_TRIES - 1;
    const { place, process } = await startProcess(this.#spec, around, this.#stopper, isFirst);
    this.#running = { place, process };
    try {
      this.#begin(place, process);
      const end = await this.#untilEnd(place, process);
      if (end.kind === "lost") await this.#listenForDeath();
      if (this.#signalled !== null && hasNotBegun(end)) this.#giveUp("killed");
      if (this.#signalled === null && (wasKilled(end) || hasNotBegun(end)) && this.#stopper.isOverdue)
        this.#giveUp("timeout");
      if (triesLeft > 0 && this.#isWorthAnotherTry(end)) return null;
      if (end.kind === "exited" && !this.#isStopping) await this.#stopper.race(this.#settled());
      return this.#judge(place, end);
    } finally {
      this.#running = null;
      around.links.announceRoom();
    }
  }

  /** It was killed before it began: another try would not know. Or by the guest, which holds the deadline too. */
  #giveUp(kind: "killed" | "timeout"): never {
    this.stop({ kind });
    throw this.#stopper.signal.reason;
  }

  /** Nothing was run, and nothing of its input is lost. */
  #isWorthAnotherTry(end: ProcessEnd): boolean {
    return (
      end.kind === "never ran" && end.why === "gone" && (this.#spec.stdin.kind === "bytes" || !this.#isFed)
    );
  }

  #begin(place: Place, process: GuestProcess): void {
    this.#clock.noteSent();
    process.begin((stream, bytes) => this.#take(stream, bytes));
    if (this.#size) process.resize(this.#size);
    void process.ready.then((isReady) => isReady && this.#onStarted());
    void this.#feed(process);
    void this.#guardInGuest(place, process);
  }

  /** A source that can be read only once waits until the shell is known to be there; what a terminal echoes before is lost. */
  async #feed(process: GuestProcess): Promise<void> {
    const { stdin, terminal } = this.#spec;
    if (isEmpty(this.#spec) && terminal === null) return; // the command is told to read nothing
    if ((stdin.kind !== "bytes" || terminal !== null) && (await process.takesInput) === null) return;
    this.#isFed = true;
    await feedStdin(stdin, process);
  }

  #take(stream: OutputStream, bytes: Buffer): boolean {
    this.#clock.noteOutput();
    (stream === "stdout" ? this.#stdout : this.#stderr).add(bytes);
    try {
      return this.#observe(stream, bytes) || this.#isStopping;
    } catch (error) {
      this.stop({ kind: "failed", error });
      return true;
    }
  }

  /** The guest ends the command too, in case this process can't. */
  async #guardInGuest(place: Place, process: GuestProcess): Promise<void> {
    const { timeoutMs } = this.#spec;
    const isFallback = place.facts?.cgroups === false;
    if (timeoutMs === null && !isFallback) return;
    await sleep(isFallback ? 0 : GUEST_DEADLINE_AFTER_MS, undefined, { ref: false });
    if (this.#running?.process !== process || (await process.ready) === null) return;
    const leftMs = (timeoutMs ?? 1e9) - this.#clock.elapsedMs + GUEST_DEADLINE_SLACK_MS;
    await place.setDeadline(process, Math.max(1, leftMs / 1000)).catch(() => {});
  }

  /** A machine that dies takes its connections with it, and that it died is heard a moment later: then start() helps. */
  async #listenForDeath(): Promise<void> {
    await this.#stopper.race(sleep(DEATH_BOUND_MS)).catch(() => {});
  }

  async #untilEnd(place: Place, process: GuestProcess): Promise<ProcessEnd> {
    try {
      return await this.#stopper.race(process.ended);
    } catch (error) {
      const reason = this.#stopper.reason;
      if (!(error instanceof StoppedError) || reason?.kind === "died") throw error;
      const end = await this.#endInGuest(place, process);
      if (reason?.kind !== "killed") throw error;
      return end ?? { kind: "exited", status: { signal: "SIGKILL" } };
    }
  }

  /** Null where the guest does not confirm it in time. */
  async #endInGuest(place: Place, process: GuestProcess): Promise<ProcessEnd | null> {
    this.#isStopping = true;
    process.resume();
    const dead = place.kill(process).then(() => process.ended);
    const tooLate = sleep(KILL_BOUND_MS, null, { ref: false });
    return await Promise.race([dead, tooLate]);
  }

  #judge(place: Place, end: ProcessEnd): CommandResult {
    switch (end.kind) {
      case "exited": {
        const captured = { stdout: this.#stdout, stderr: this.#stderr };
        return formatResult(
          this.#spec.command,
          statusAsSent(end.status, this.#signalled),
          captured,
          this.#clock.read(),
        );
      }
      case "never ran":
        if (end.why !== "unbegun") throw this.#fate.neverRan(end.why);
        throw this.#fate.unbegun(end.status ?? null, this.#printed());
      case "not started": {
        throw this.#fate.notStarted(this.#printed());
      }
      case "lost": {
        const { reason } = this.#stopper;
        const cut = reason?.kind === "died" ? reason.why : place.whyCut;
        throw this.#fate.outcomeUnknown(place.isOpen ? end.why : cut, this.#printed());
      }
    }
  }

  #printed() {
    return { stdout: this.#stdout.text(), stderr: this.#stderr.text() };
  }

  #explain(error: unknown): unknown {
    const reason = this.#stopper.reason;
    if (error instanceof StoppedError && reason) {
      return this.#fate.stopped(reason, this.#clock.wasSent, this.#printed());
    }
    if (error instanceof ConnectError) {
      return this.#fate.unavailable(`${error.message}.`, error.remediation, error);
    }
    return error;
  }
}
