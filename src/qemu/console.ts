import type { Duplex } from "node:stream";
import { lineSplitter } from "../util/line-splitter.ts";
import { paceStream } from "../util/pace.ts";
import { type GuestMessage, isBetweenUs, parseGuestMessage } from "./console-words.ts";
import { Listeners } from "./listeners.ts";

/** Who a restored guest is to be. */
export interface GuestIdentity {
  readonly hostname: string;
  /** 32 hexadecimal digits. */
  readonly machineId: string;
  /** True where it was saved while it was at work: connections of its source are then ended, and what ran through them goes on. */
  readonly wasInUse: boolean;
  /** The name of the cgroup in which a shell waits for it, and is no part of what its source did. */
  readonly keeps?: string | undefined;
}

const LISTENING: ReadonlySet<string> = new Set(["ready", "quiet", "speaks", "identity", "reseeded"]);
const LONGEST_LINE_BYTES = 8 * 1024;
const TAIL_BYTES = 64 * 1024;
/** No console is read faster. A line costs as much as so many bytes of it. */
const CONSOLE_BYTES_EACH_SECOND = 4 * 1024 * 1024;
const PORT_BYTES_EACH_SECOND = 256 * 1024;
const LINE_BYTES = 64;

/** The guest's serial line: its last words are kept, its messages are understood, and those of the port at which it hears who it is. */
export class GuestConsole {
  /** Settles when nothing more can come; never rejects. */
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #port: Duplex;
  readonly #lines = new Listeners<string>();
  readonly #messages = new Listeners<GuestMessage>();
  #tail = "";
  #last: GuestMessage | null = null;
  #listens = false;

  constructor(stream: Duplex, port: Duplex) {
    this.#stream = stream;
    this.#port = port;
    stream.on("data", (chunk: Buffer) => this.#remember(chunk));
    readLines(stream, CONSOLE_BYTES_EACH_SECOND, (line) => this.#receive(line));
    readLines(port, PORT_BYTES_EACH_SECOND, (line) => this.#understand(line.toString("utf8")));
    for (const each of [stream, port]) each.on("error", () => {}); // told by `closed`
    this.closed = new Promise((resolve) => {
      stream.once("close", resolve);
      stream.once("end", resolve);
    });
  }

  /** The last 64 KiB that were shown, the unfinished last line included; without what is between us and the guest. */
  get tail(): string {
    const lines = withoutReturns(Buffer.from(this.#tail.slice(-TAIL_BYTES), "latin1").toString("utf8")).split(
      "\n",
    );
    return lines.filter((line) => !isBetweenUs(line)).join("\n");
  }

  /** The latest message other than progress, so that who comes late has missed nothing. */
  get lastMessage(): GuestMessage | null {
    return this.#last;
  }

  /** Whether it has ever said what only a guest of ours says, and only once it hears what is said to it here. */
  get listens(): boolean {
    return this.#listens;
  }

  /** Hears each line from now on, without its end; gives back how to stop listening. */
  onLine(listener: (line: string) => void): () => void {
    return this.#lines.add(listener);
  }

  /** Hears all that is shown from now on, as it comes. */
  onBytes(listener: (bytes: Buffer) => void): void {
    this.#stream.on("data", listener);
  }

  onMessage(listener: (message: GuestMessage) => void): () => void {
    return this.#messages.add(listener);
  }

  /**
   * Asks our init to shut the guest down, and to leave what lives there so long to end well. An init of a machine that an earlier version
   * saved only knows the last two words.
   */
  requestPoweroff(graceMs: number): void {
    this.#say(`grace ${Math.round(graceMs)} smolvm poweroff`);
  }

  /** Asks a guest that may have said so already: a message of the kernel can tear its line apart. */
  askReady(): void {
    this.#say("ready?");
  }

  /** Asks for word when the guest rests, but for so many processes that stay. */
  askQuiet(staying: number): void {
    this.#say(`quiet? ${staying}`);
  }

  /** Asks a guest that is to be copied to show what its kernel notices, and for word when it does. */
  askToSpeak(): void {
    this.#say("speak");
  }

  /** Asks a guest of ours to mend what may keep the host from connecting. */
  askToMend(): void {
    if (this.#listens) this.#sayUnlessUnread("mend");
  }

  /** Ends all that lives in a command's cgroup, by its path below ours; the worker of that process takes no other command. Needs no connection. */
  endCommand(cgroup: string, workerPid: number): void {
    this.#sayUnlessUnread(`kill ${cgroup} ${workerPid}`);
  }

  /** Gives a restored guest a name of its own and the time; its answer will bear the number of the request. Once: it is heard. */
  giveIdentity(
    { hostname, machineId, wasInUse, keeps = "-" }: GuestIdentity,
    epochSeconds: number,
    request: number,
  ): void {
    const use = wasInUse ? ` ${keeps}` : "";
    if (this.#port.writable) this.#port.write(`${hostname} ${machineId} ${epochSeconds} ${request}${use}\n`);
  }

  /** Gives it the time again, and is answered in the same way. False: it was not said. */
  giveTime(epochSeconds: number, request: number): boolean {
    return this.#say(`time ${epochSeconds} ${request}`);
  }

  /** Tells it what time it is: where its clock is behind it is set, to the whole second, and it answers. False: nobody reads this, and it was not said. */
  tellTime(epochMs: number, request: number): boolean {
    return this.#sayUnlessUnread(
      `clock ${Math.floor(epochMs / 1000)} ${Math.floor(epochMs % 1000)} ${request}`,
    );
  }

  close(): void {
    this.#stream.destroy();
    this.#port.destroy();
  }

  /** What is said again and again is not to pile up where nobody reads. */
  #sayUnlessUnread(words: string): boolean {
    return this.#stream.writableLength === 0 && this.#say(words);
  }

  #say(words: string): boolean {
    if (!this.#stream.writable) return false;
    this.#stream.write(`smolvm ${words}\n`);
    return true;
  }

  #remember(chunk: Buffer): void {
    this.#tail += chunk.toString("latin1"); // one character for each byte
    if (this.#tail.length > 2 * TAIL_BYTES) this.#tail = this.#tail.slice(-TAIL_BYTES);
  }

  #receive(bytes: Buffer): void {
    const line = withoutReturns(bytes.toString("utf8"));
    this.#lines.emit(line);
    this.#understand(line);
  }

  #understand(line: string): void {
    const message = parseGuestMessage(line);
    if (message === undefined) return;
    if (message.kind !== "progress") this.#last = message;
    this.#listens ||= LISTENING.has(message.kind);
    this.#messages.emit(message);
  }
}

/** Of what comes faster than it may the rest waits, and so does the guest. */
function readLines(stream: Duplex, bytesEachSecond: number, onLine: (line: Buffer) => void): void {
  const spend = paceStream(stream, bytesEachSecond);
  let lines = 0;
  const split = lineSplitter(LONGEST_LINE_BYTES, (line) => {
    lines++;
    onLine(line);
  });
  stream.on("data", (chunk: Buffer) => {
    lines = 0;
    split(chunk);
    spend(chunk.length + lines * LINE_BYTES);
  });
}

function withoutReturns(text: string): string {
  return text.replaceAll("\r", "");
}
