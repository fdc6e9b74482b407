import type { OutputSink, OutputStream, SshChannel } from "./channel.ts";
import { NEVER_RAN, type NeverRan } from "./shell-code.ts";

/** What the shell said of itself before it read its command. */
export interface ShellFacts {
  readonly pid: number;
  readonly inCgroup: boolean;
  /** The inodes of the pipes behind stdout and stderr; 0 where they are not known. */
  readonly pipes: readonly [number, number];
}

/** How much of the beginning is searched for what the guest's scripts say. */
const SEARCHED_BYTES = 64 * 1024;

/** A shell in the guest that was started for one command and waits for it, or runs it. */
export class GuestShell {
  readonly channel: SshChannel;
  /** What marks the words of our scripts; the command never learns it. */
  readonly token: string;
  /** Number of its cgroup. */
  readonly slot: number;
  /** Null when it ended without a word: then it has not read its command. */
  readonly ready: Promise<ShellFacts | null>;
  facts: ShellFacts | null = null;
  neverRan: NeverRan | null = null;
  bytesReceived = 0;
  readonly #hasTerminal: boolean;
  #onReady: (facts: ShellFacts | null) => void = () => {};
  #before: Buffer = Buffer.alloc(0);
  #searched = 0;
  #sink: OutputSink | null = null;
  #waiting: { stream: OutputStream; bytes: Buffer }[] = [];

  constructor(channel: SshChannel, token: string, slot: number, hasTerminal: boolean) {
    this.channel = channel;
    this.token = token;
    this.slot = slot;
    this.#hasTerminal = hasTerminal;
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
    void channel.closed.then(() => this.#onReady(null));
    channel.setSink((stream, bytes) => this.#take(stream, bytes));
  }

  /** Gives the sink what came so far (a profile's output, say), and then all that comes. */
  setSink(sink: OutputSink): void {
    this.#sink = sink;
    const waiting = this.#waiting;
    this.#waiting = [];
    let flows = true;
    for (const { stream, bytes } of waiting) flows = sink(stream, bytes);
    if (flows) this.channel.resume();
  }

  #take(stream: OutputStream, bytes: Buffer): boolean {
    this.bytesReceived += bytes.length;
    const rest = stream === "stdout" && !this.facts ? this.#findFacts(bytes) : bytes;
    const isSearched = this.#searched < SEARCHED_BYTES && (stream === "stderr" || this.#hasTerminal);
    return this.#pass(stream, isSearched ? this.#findNeverRan(rest) : rest);
  }

  #pass(stream: OutputStream, bytes: Buffer): boolean {
    if (bytes.length === 0) return true;
    if (this.#sink) return this.#sink(stream, bytes);
    this.#waiting.push({ stream, bytes });
    return false;
  }

  /** What a ~/.bashrc printed before our own line is no output of the command. */
  #findFacts(bytes: Buffer): Buffer {
    const all = Buffer.concat([this.#before, bytes]);
    const start = all.indexOf(`${this.token} `);
    const end = start === -1 ? -1 : all.indexOf("\n", start);
    if (end === -1) {
      this.#before = all.subarray(-SEARCHED_BYTES);
      return Buffer.alloc(0);
    }
    const [, pid, group, out, err] = all.toString("latin1", start, end).trim().split(" ");
    this.facts = { pid: Number(pid), inCgroup: group === "1", pipes: [Number(out), Number(err)] };
    this.#before = Buffer.alloc(0);
    this.#onReady(this.facts);
    return all.subarray(end + 1);
  }

  #findNeverRan(bytes: Buffer): Buffer {
    this.#searched += bytes.length;
    const start = bytes.indexOf(`${this.token} `);
    if (start === -1) return bytes;
    const words = bytes.toString("latin1", start + this.token.length + 1).trim();
    this.neverRan = NEVER_RAN.find((known) => words.startsWith(known)) ?? null;
    return bytes.subarray(0, start);
  }
}
