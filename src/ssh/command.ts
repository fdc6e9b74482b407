import { setTimeout as sleep } from "node:timers/promises";
import type { CommandResult } from "../errors.ts";
import { Capture } from "./capture.ts";
import type { ExitStatus, OutputStream, TerminalSize } from "./channel.ts";
import { feedStdin } from "./command-stdin.ts";
import { ConnectError } from "./connection.ts";
import { Fate } from "./fate.ts";
import type { GuestShell } from "./guest-shell.ts";
import type { Link } from "./link.ts";
import type { Links } from "./links.ts";
import type { Queue } from "./queue.ts";
import { formatResult } from "./result.ts";
import { encodeCommand } from "./shell-code.ts";
import type { CommandSpec } from "./spec.ts";
import { startShell } from "./start-shell.ts";
import { StoppedError, Stopper, type StopReason } from "./stop.ts";

/** What all commands of one machine share. */
export interface Surroundings {
  readonly vmId: string;
  readonly queue: Queue;
  readonly links: Links;
  /** Those that are to be stopped when the machine goes. */
  readonly commands: Set<Command>;
}

/** Takes output in the order of its arrival; false: no more until `resume()`. What it throws ends the command. */
export type OutputObserver = (stream: OutputStream, bytes: Buffer) => boolean;

/** How long the guest may take to confirm that all is dead. */
const KILL_BOUND_MS = 700;
/** How long the last output may take after a process has ended while somebody else holds its stdout. */
const DRAIN_BOUND_MS = 500;
/** Commands that are over sooner don't cost the guest a deadline of its own. */
const GUEST_DEADLINE_AFTER_MS = 250;
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
  readonly #calledMs = performance.now();
  #queuedMs: number | null = null;
  #sentMs: number | null = null;
  #firstByteMs: number | null = null;
  #running: { readonly link: Link; readonly shell: GuestShell } | null = null;
  #isPaused = false;
  #size: TerminalSize | null = null;

  /** The clock runs from here; `around` may take its time, as where a machine still starts. */
  constructor(spec: CommandSpec, observe: OutputObserver, around: Promise<Surroundings>) {
    this.#spec = spec;
    this.#observe = observe;
    this.#stopper = new Stopper(spec.timeoutMs, spec.signal);
    this.#stdout = new Capture(spec.maxOutputBytes);
    this.#stderr = new Capture(spec.maxOutputBytes);
    this.#fate = new Fate(spec, null);
    const started = new Promise<void>((resolve) => {
      this.#onStarted = resolve;
    });
    this.result = this.#run(around);
    this.started = Promise.race([started, this.result.then(() => {})]);
    this.started.catch(() => {});
  }

  /** Lets output flow again after the observer returned false. */
  resume(): void {
    this.#isPaused = false;
    this.#running?.shell.channel.resume();
  }

  /** Sends a signal ("SIGTERM") to every process of the command. */
  kill(signalName: string): void {
    const { link, shell } = this.#running ?? {};
    if (!link || !shell) this.stop({ kind: "killed" });
    else if (signalName === "SIGKILL") void link.kill(shell);
    else void link.signal(shell, signalName.replace(/^SIG/, ""));
  }

  /** Ends everything the command started; the first reason counts. */
  stop(reason: StopReason): void {
    this.#stopper.stop(reason);
  }

  resize(size: TerminalSize): void {
    this.#size = size;
    this.#running?.shell.channel.resize(size);
  }

  async #run(givenAround: Promise<Surroundings>): Promise<CommandResult> {
    try {
      const around = await this.#stopper.race(givenAround);
      this.#fate = new Fate(this.#spec, around.vmId);
      around.commands.add(this);
      try {
        return await this.#runQueued(around);
      } finally {
        around.commands.delete(this);
      }
    } catch (error) {
      throw this.#explain(error);
    } finally {
      this.#stopper.dispose();
      if (this.#spec.stdin.kind === "pipe") this.#spec.stdin.pipe.destroy();
    }
  }

  async #runQueued({ queue, links }: Surroundings): Promise<CommandResult> {
    const leave = await queue.enter(this.#stopper.signal);
    this.#queuedMs = performance.now();
    try {
      for (;;) {
        const result = await this.#runOnce(links);
        if (result !== null) return result;
      }
    } finally {
      leave();
    }
  }

  /** Null: it is worth another try. */
  async #runOnce(links: Links): Promise<CommandResult | null> {
    const { link, shell } = await startShell(this.#spec, links, this.#stopper);
    this.#running = { link, shell };
    try {
      this.#send(link, shell);
      const status = await this.#untilEnd(link, shell);
      return this.#isWorthAnotherTry(link, shell) ? null : this.#judge(link, shell, status);
    } finally {
      this.#running = null;
      void link.release(shell).then(() => links.announceRoom());
    }
  }

  #send(link: Link, shell: GuestShell): void {
    const { stdin, terminal } = this.#spec;
    this.#sentMs = performance.now();
    shell.setSink((stream, bytes) => this.#take(stream, bytes));
    if (this.#size) shell.channel.resize(this.#size);
    if (terminal === null) shell.channel.write(encodeCommand(this.#spec, shell.token)).catch(() => {});
    void shell.ready.then((facts) => facts && this.#onStarted());
    void this.#feed(shell);
    void this.#guardInGuest(link, shell);
    if (stdin.kind === "pipe") stdin.pipe.attach(shell.channel);
  }

  /** A source that can be read only once waits until the shell is known to be there. */
  async #feed(shell: GuestShell): Promise<void> {
    const { stdin, terminal } = this.#spec;
    if (stdin.kind === "stream" || terminal !== null) {
      if ((await shell.ready) === null) return;
    }
    await feedStdin(stdin, shell.channel, terminal !== null).catch((error) =>
      this.stop({ kind: "failed", error }),
    );
  }

  #take(stream: OutputStream, bytes: Buffer): boolean {
    this.#firstByteMs ??= performance.now();
    (stream === "stdout" ? this.#stdout : this.#stderr).add(bytes);
    try {
      this.#isPaused = !this.#observe(stream, bytes);
    } catch (error) {
      this.stop({ kind: "failed", error });
    }
    return !this.#isPaused;
  }

  /** The guest ends the command too, in case this process can't. */
  async #guardInGuest(link: Link, shell: GuestShell): Promise<void> {
    const { timeoutMs } = this.#spec;
    const isFallback = link.facts?.cgroups === false;
    if (timeoutMs === null && !isFallback) return;
    if (!isFallback) await sleep(GUEST_DEADLINE_AFTER_MS, undefined, { ref: false });
    if (this.#running?.shell !== shell) return;
    const leftMs = (timeoutMs ?? 1e9) - (performance.now() - this.#calledMs) + GUEST_DEADLINE_SLACK_MS;
    await link.setDeadline(shell, Math.max(1, leftMs / 1000)).catch(() => {});
  }

  async #untilEnd(link: Link, shell: GuestShell): Promise<ExitStatus | null> {
    try {
      return await this.#stopper.race(this.#ended(link, shell));
    } catch (error) {
      const reason = this.#stopper.reason;
      if (!(error instanceof StoppedError) || reason?.kind === "died") throw error;
      await this.#endInGuest(link, shell);
      if (reason?.kind !== "killed") throw error;
      return await Promise.race([shell.channel.exited, sleep(0, { signal: "SIGKILL" } as const)]);
    }
  }

  async #ended(link: Link, shell: GuestShell): Promise<ExitStatus | null> {
    const status = await shell.channel.exited;
    if (status !== null) await this.#drain(link, shell);
    return status;
  }

  /**
   * OpenSSH's server says that a process ended before the last of its output is sent, and keeps the channel open while
   * anybody holds its stdout. Two round trips of the keeper without output: nothing more is to come.
   */
  async #drain(link: Link, shell: GuestShell): Promise<void> {
    let isClosed = false;
    const closed = shell.channel.closed.then(() => {
      isClosed = true;
    });
    const endMs = performance.now() + DRAIN_BOUND_MS;
    for (let quiet = 0; quiet < 2 && !isClosed && performance.now() < endMs; ) {
      const before = shell.bytesReceived;
      await Promise.race([
        closed,
        link.sync().catch(() => sleep(50)),
        sleep(DRAIN_BOUND_MS, undefined, { ref: false }),
      ]);
      quiet = shell.bytesReceived === before && !this.#isPaused ? quiet + 1 : 0;
    }
    if (!isClosed) link.keepDrained(shell);
  }

  async #endInGuest(link: Link, shell: GuestShell): Promise<void> {
    const dead = link.kill(shell).then(() => shell.channel.closed);
    await Promise.race([dead, link.connection.lost, sleep(KILL_BOUND_MS)]);
  }

  /** Its shell ended without having read the command, so that nothing was run and nothing of its input was taken. */
  #isWorthAnotherTry(link: Link, shell: GuestShell): boolean {
    if (shell.neverRan === "gone") return this.#spec.stdin.kind === "bytes";
    if (shell.facts !== null || !link.connection.isOpen || this.#stopper.reason) return false;
    return link.suspectForeignShell();
  }

  #judge(link: Link, shell: GuestShell, status: ExitStatus | null): CommandResult {
    if (shell.neverRan !== null) throw this.#fate.neverRan(shell.neverRan);
    if (shell.facts === null && link.connection.isOpen) {
      const words = this.#stderr.text().trim() || "it said nothing";
      throw this.#fate.unavailable(
        `the guest's shell did not start: ${words}`,
        "Check the user's login shell in the guest.",
      );
    }
    if (status === null) {
      const why = link.connection.isOpen
        ? "its channel closed without an exit status"
        : "the connection broke while it ran";
      throw this.#fate.outcomeUnknown(why, this.#printed());
    }
    return formatResult(
      this.#spec.command,
      status,
      { stdout: this.#stdout, stderr: this.#stderr },
      this.#times(),
    );
  }

  #times() {
    const nowMs = performance.now();
    const queuedMs = this.#queuedMs ?? nowMs;
    const sentMs = this.#sentMs ?? nowMs;
    return {
      durationMs: nowMs - this.#calledMs,
      queueMs: queuedMs - this.#calledMs,
      connectMs: sentMs - queuedMs,
      firstByteMs: (this.#firstByteMs ?? nowMs) - sentMs,
    };
  }

  #printed() {
    return { stdout: this.#stdout.text(), stderr: this.#stderr.text() };
  }

  #explain(error: unknown): unknown {
    const reason = this.#stopper.reason;
    if (error instanceof StoppedError && reason) {
      return this.#fate.stopped(reason, this.#sentMs !== null, this.#printed());
    }
    if (error instanceof ConnectError) {
      return this.#fate.unavailable(
        `${error.message}.`,
        "Check that the machine runs an SSH server: smolvm doctor",
        error,
      );
    }
    return error;
  }
}
