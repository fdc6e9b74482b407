import type { Duplex } from "node:stream";
import { lineSplitter } from "../util/line-splitter.ts";
import { Listeners } from "./listeners.ts";

/** What the guest tells the host on its console. */
export type GuestMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "progress"; readonly text: string }
  | { readonly kind: "done" }
  /** Nothing runs but what the guest is made of, and its disk has everything. */
  | { readonly kind: "quiet" }
  /** What its kernel notices comes here from now on. */
  | { readonly kind: "speaks" }
  /** It is now who that request told it to be, or has the time that it brought. */
  | { readonly kind: "identity"; readonly request: number }
  /** Its kernel has noticed that it is another machine now, and has new random numbers. */
  | { readonly kind: "reseeded" };

/** Who a restored guest is to be. */
export interface GuestIdentity {
  readonly hostname: string;
  /** 32 hexadecimal digits. */
  readonly machineId: string;
  /** True where it was saved amid work: connections of its source are then ended, and what ran through them goes on. */
  readonly wasInUse: boolean;
  /** The name of the cgroup in which a shell waits for it, and is no part of what its source did. */
  readonly keeps?: string | undefined;
}

/** Linux, drivers/char/random.c: add_vmfork_randomness(). */
const RESEEDED = "crng reseeded due to virtual machine fork";
const LONGEST_LINE_BYTES = 8 * 1024;
const TAIL_BYTES = 64 * 1024;

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

  constructor(stream: Duplex, port: Duplex) {
    this.#stream = stream;
    this.#port = port;
    stream.on("data", (chunk: Buffer) => this.#remember(chunk));
    stream.on(
      "data",
      lineSplitter(LONGEST_LINE_BYTES, (line) => this.#receive(line)),
    );
    port.on(
      "data",
      lineSplitter(LONGEST_LINE_BYTES, (line) => this.#understand(line.toString("utf8"))),
    );
    for (const each of [stream, port]) each.on("error", () => {}); // told by `closed`
    this.closed = new Promise((resolve) => {
      stream.once("close", resolve);
      stream.once("end", resolve);
    });
  }

  /** The last 64 KiB that were shown, the unfinished last line included. */
  get tail(): string {
    return withoutReturns(Buffer.from(this.#tail.slice(-TAIL_BYTES), "latin1").toString("utf8"));
  }

  /** The latest message other than progress, so that who comes late has missed nothing. */
  get lastMessage(): GuestMessage | null {
    return this.#last;
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

  /** Asks our init to shut the guest down. */
  requestPoweroff(): void {
    this.#say("poweroff");
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

  /** Gives a restored guest a name of its own and the time; its answer will bear the number of the request. Once: it is heard. */
  giveIdentity(
    { hostname, machineId, wasInUse, keeps = "-" }: GuestIdentity,
    epochSeconds: number,
    request: number,
  ): void {
    const use = wasInUse ? ` ${keeps}` : "";
    if (this.#port.writable) this.#port.write(`${hostname} ${machineId} ${epochSeconds} ${request}${use}\n`);
  }

  /** Gives it the time again, and is answered in the same way. */
  giveTime(epochSeconds: number, request: number): void {
    this.#say(`time ${epochSeconds} ${request}`);
  }

  close(): void {
    this.#stream.destroy();
    this.#port.destroy();
  }

  #say(words: string): void {
    if (this.#stream.writable) this.#stream.write(`smolvm ${words}\n`);
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
    this.#messages.emit(message);
  }
}

/** A message at the end of a console line; kernel messages may stand before it. */
export function parseGuestMessage(line: string): GuestMessage | undefined {
  const text = line.trimEnd();
  if (text.endsWith(RESEEDED)) return { kind: "reseeded" };
  const match = /smolvm: (?:(ready|done|quiet|speaks)|(failed):(.*)|(progress) (.*)|identity (\d+))$/.exec(
    text,
  );
  if (match === null) return undefined;
  if (match[1]) return { kind: match[1] as "ready" | "done" | "quiet" | "speaks" };
  if (match[2]) return { kind: "failed", reason: (match[3] ?? "").trim() };
  if (match[6]) return { kind: "identity", request: Number(match[6]) };
  return { kind: "progress", text: match[5] ?? "" };
}

function withoutReturns(text: string): string {
  return text.replaceAll("\r", "");
}
