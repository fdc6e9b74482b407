import { paceFlow } from "../../util/pace.ts";
import { NEVER_RAN, type NeverRan, parsePid, parseStatus } from "../protocol/guest-words.ts";
import { MarkerSplitter } from "../protocol/markers.ts";
import type { WaitingLanguage } from "../protocol/waiting-code.ts";
import type { OutputStream } from "../spec/command-spec.ts";
import type { ExitStatus, OutputSink, SshChannel } from "../transport/channel.ts";
import { EarlyOutput } from "./early-output.ts";
import { HeldOutput } from "./held-output.ts";

/** How one child of a worker ended. */
export type ChildEnd =
  | { readonly kind: "exited"; readonly status: ExitStatus; readonly leftSomebody: boolean }
  /** With how its shell ended, where that is all that is known. */
  | { readonly kind: "never ran"; readonly why: NeverRan; readonly status?: ExitStatus }
  /** `why`: this side gave it up. */
  | { readonly kind: "gone"; readonly status: ExitStatus | null; readonly why?: string };

/** A shell that was started ahead of time and waits in the worker's child. */
export interface Standby {
  readonly kind: "login" | "raw";
  readonly language: WaitingLanguage;
  /** What a command's line must name to be read by it. */
  readonly guard: string;
  /** When it was started, counted in commands. */
  readonly epoch: number;
  /** Which of the worker's children it is. */
  readonly child: number;
  /** Shell code that makes it as good as new: it may have waited in a machine that was saved. */
  readonly renewal: string;
  /** It has read its profile, and said so. */
  isReady: boolean;
}

export interface Watcher {
  readonly sink: OutputSink;
  /** Its lines are for a shell that was started ahead of time. */
  readonly isForStandby: boolean;
  /** That shell says when it begins: only then what it has printed is the command's. */
  readonly saysBegun: boolean;
  readonly onBegun: () => void;
  readonly onEnd: (end: ChildEnd) => void;
}

/** What processes print that commands left running is read no faster than this, and dropped. */
const DROPPED_EACH_SECOND = 4 * 1024 * 1024;

/** The host's end of src/guest/worker.sh: one channel, on which children run one after the other. */
export class Worker {
  readonly channel: SshChannel;
  readonly token: string;
  readonly slot: number;
  /** Its process in the guest, and that of its child where there are no cgroups; 0 where they are not known. */
  pid = 0;
  childPid = 0;
  /** Null when it ended before it was there. */
  readonly ready: Promise<true | null>;
  standby: Standby | null = null;
  readonly #splitters: Readonly<Record<OutputStream, MarkerSplitter>>;
  /** Which child's output each stream is at. */
  readonly #at = { stdout: 0, stderr: 0 };
  /** Which child will read the next line, and how many the worker was told to fork. */
  #reading = 0;
  #forked = 1;
  #onReady: (ready: true | null) => void = () => {};
  #onStandby: (isReady: boolean) => void = () => {};
  #watched = 0;
  #watcher: Watcher | null = null;
  #end: ChildEnd | null = null;
  #neverRan: NeverRan | null = null;
  readonly #early = new EarlyOutput();
  readonly #drop = paceFlow(DROPPED_EACH_SECOND, () => this.channel.resume());
  #lastGuard = 0;
  #output = new HeldOutput(() => true, false);
  /** How it ended itself. */
  #goneEnd: ChildEnd | null = null;
  /** Resolves when it is gone and the command that ran on it knows. */
  readonly gone: Promise<void>;

  constructor(channel: SshChannel, token: string, slot: number) {
    this.channel = channel;
    this.token = token;
    this.slot = slot;
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
    this.#splitters = { stdout: this.#splitterOf("stdout"), stderr: this.#splitterOf("stderr") };
    channel.setSink((stream, bytes) => this.#splitters[stream].take(bytes));
    this.gone = channel.exited.then((status) => channel.closed.then(() => this.#gone(status)));
  }

  /** Gives the child that reads next these lines, and watches it to its end. */
  give(lines: Buffer, watcher: Watcher): void {
    const before = (watcher.isForStandby ? "" : this.#dismissalLine()) + this.#forkLine();
    this.#watched = this.#reading++;
    this.#watcher = watcher;
    this.#neverRan = null;
    this.#end = null;
    this.standby = null;
    this.#output = new HeldOutput(watcher.sink, watcher.saysBegun);
    let flows = true;
    for (const { stream, bytes } of this.#early.hand(this.#watched)) flows = this.#output.take(stream, bytes);
    if (flows) this.channel.resume();
    if (this.#goneEnd) this.#report(this.#goneEnd);
    else this.#write(before, lines);
  }

  /** Somebody has printed something in a child that has no command. */
  get hasEarlyOutput(): boolean {
    return !this.#early.isEmpty;
  }

  get isGone(): boolean {
    return this.#goneEnd !== null;
  }

  /** All children before the watched one have ended. */
  get isAtWatched(): boolean {
    return this.#watcher !== null && this.#at.stdout === this.#watched;
  }

  /**
   * Has a shell started ahead of time, in the place of the one that waits, if any. `isRoot`: it may offer itself to the kernel where
   * memory runs out. Resolves with whether it waits, or has ended without that; never where it is dismissed before.
   */
  prepare(known: Pick<Standby, "kind" | "language" | "epoch">, isRoot: boolean): Promise<boolean> {
    const before = this.#dismissalLine() + this.#forkLine();
    const guard = this.#nextGuard();
    this.standby = { ...known, guard, child: this.#reading, renewal: "", isReady: false };
    const line = `${isRoot ? "ahead " : ""}${known.kind} ${guard} ${known.language}\n`;
    this.#write(`${before}${line}${this.token}\n`);
    return new Promise((resolve) => {
      this.#onStandby = resolve;
    });
  }

  /** Takes over the shell that was started in this worker before its machine was saved. */
  adopt(known: Pick<Standby, "kind" | "language" | "epoch" | "renewal">): void {
    this.standby = { ...known, guard: this.#nextGuard(), child: this.#reading, isReady: true };
  }

  /** Has the child forked that reads next, where that has not been done. */
  forkChild(): void {
    this.#write(this.#forkLine());
  }

  #forkLine(): string {
    if (this.#forked > this.#reading) return "";
    this.#forked++;
    return "\n";
  }

  /** What ends the shell that was started ahead of time, if any; the worker's next child takes its place. */
  #dismissalLine(): string {
    if (this.standby === null) return "";
    this.standby = null;
    this.#onStandby = () => {};
    this.#reading++;
    return "exit\n";
  }

  /** Without cgroups what a command left running can't be told from nobody: the worker ends with its first command. */
  get endsByItself(): boolean {
    return this.childPid !== 0;
  }

  #nextGuard(): string {
    this.#lastGuard++;
    return String(this.#lastGuard);
  }

  /** Ends a worker that has nothing to do. What its last command left running goes on, unless it writes. */
  quit(): void {
    this.channel.end();
  }

  /** In one packet: each one more costs the guest about as much as a step of a command. */
  #write(text: string, lines: Uint8Array = new Uint8Array()): void {
    const bytes = Buffer.concat([Buffer.from(text), lines]);
    if (bytes.length > 0) this.channel.write(bytes).catch(() => {}); // that the channel is gone shows in its end
  }

  #splitterOf(stream: OutputStream): MarkerSplitter {
    return new MarkerSplitter(
      this.token,
      (bytes) => this.#take(stream, bytes),
      (words) => this.#obey(stream, words),
    );
  }

  #take(stream: OutputStream, bytes: Buffer): boolean {
    const child = this.#at[stream];
    if (this.#watcher && child === this.#watched) return this.#output.take(stream, bytes);
    if (this.#watcher && child < this.#watched) return true;
    return this.#early.take({ child, stream, bytes }) || this.#drop(bytes.length);
  }

  #obey(stream: OutputStream, words: string[]): void {
    if (this.#goneEnd) return;
    const [what, ...rest] = words;
    if (what === "ready" || what === "pid") this.#takePid(what, parsePid(rest[0]));
    else if (what === "waits") this.#standbyWaits();
    else if (what === "begun") this.#hasBegun(stream);
    else if (what === "end" || what === undefined) this.#childEnded(stream, rest);
    else this.#neverRan = NEVER_RAN.find((known) => known === words.join(" ")) ?? null;
  }

  #takePid(what: "ready" | "pid", pid: number | null): void {
    if (pid === null) this.#giveUp();
    else if (what === "pid") this.childPid = pid;
    else {
      this.pid = pid;
      this.#onReady(true);
    }
  }

  /** Or the one that a command was given to before it was ready. */
  #standbyWaits(): void {
    if ((this.standby?.child ?? this.#watched) !== this.#at.stdout) return; // dismissed
    this.#onStandby(true);
    if (this.standby) this.standby.isReady = true;
  }

  #hasBegun(stream: OutputStream): void {
    if (this.#watcher === null || this.#at[stream] !== this.#watched) return;
    this.#output.release(stream);
    if (stream === "stdout") this.#watcher.onBegun();
  }

  /** A child is over when both streams have said so, or one for both: then nothing of its output is still to come. */
  #childEnded(stream: OutputStream, [code, killed, left, begun, both]: string[]): void {
    // As if the guest had said it on stderr: what might have been the beginning of a word comes out first.
    if (both) this.#splitters.stderr.take(Buffer.from(`\u0001${this.token}\n`));
    const child = this.#at[stream]++;
    if (child !== this.#watched || !this.#watcher) {
      if (stream === "stdout") this.#idleChildEnded(child);
      return;
    }
    if (stream === "stdout") {
      const status = parseStatus(code, killed === "1");
      if (status === null) return void this.#giveUp();
      this.#end =
        begun === "1"
          ? { kind: "exited", status, leftSomebody: left === "1" }
          : { kind: "never ran", why: this.#watcher.isForStandby ? "gone" : "unbegun", status };
    }
    if (this.#end && this.#at.stdout > this.#watched && this.#at.stderr > this.#watched) {
      this.#report(this.#neverRan ? { kind: "never ran", why: this.#neverRan } : this.#end);
    }
  }

  /** Nobody had given it a command: a shell that was started ahead of time is no more. */
  #idleChildEnded(child: number): void {
    this.#early.forget(child);
    this.#reading = Math.max(this.#reading, child + 1);
    if (this.standby?.child !== child) return;
    this.#onStandby(false);
    this.standby = null;
  }

  /** What it says is none of our script's: nothing that it says is believed any more. */
  #giveUp(): void {
    this.#onReady(null);
    this.#end = null;
    this.channel.close();
    this.#goneEnd ??= { kind: "gone", status: null, why: GARBLED };
    this.#report(this.#goneEnd);
  }

  #report(end: ChildEnd): void {
    const watcher = this.#watcher;
    if (end.kind !== "never ran" || !watcher?.isForStandby) this.#output.releaseAll();
    this.#watcher = null;
    this.#early.drop();
    this.channel.resume(); // who held the output back hears no more of it
    watcher?.onEnd(end);
  }

  #gone(status: ExitStatus | null): void {
    this.#onReady(null);
    this.#onStandby(false);
    this.#goneEnd ??= this.#endByGoing(status);
    this.#report(this.#goneEnd);
  }

  /**
   * A worker ends by itself between two children only, and after it has told of the first: what was to be next never ran.
   * Nor does what it is given when it is gone.
   */
  #endByGoing(status: ExitStatus | null): ChildEnd {
    if (this.#neverRan) return { kind: "never ran", why: this.#neverRan };
    if (this.#watcher && this.#end) return this.#end;
    const endedByItself = status !== null && "code" in status;
    const wasThere = this.pid !== 0;
    if (wasThere && (endedByItself || !this.#watcher)) return { kind: "never ran", why: "gone" };
    return { kind: "gone", status };
  }
}

const GARBLED = "the guest told of its end in no way that can be understood";
