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
  /** It is now who that request told it to be. */
  | { readonly kind: "identity"; readonly request: number };

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

const LONGEST_LINE_BYTES = 8 * 1024;
const TAIL_BYTES = 64 * 1024;

/** The guest's one serial line: its last words are kept, its messages are understood. */
export class GuestConsole {
  /** Settles when nothing more can come; never rejects. */
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #lines = new Listeners<string>();
  readonly #messages = new Listeners<GuestMessage>();
  #tail = "";
  #last: GuestMessage | null = null;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("data", (chunk: Buffer) => this.#remember(chunk));
    stream.on(
      "data",
      lineSplitter(LONGEST_LINE_BYTES, (line) => this.#receive(line)),
    );
    stream.on("error", () => {}); // told by `closed`
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

  /** Gives a restored guest a name of its own and the time; its answer will bear the number of the request. */
  giveIdentity(
    { hostname, machineId, wasInUse, keeps = "-" }: GuestIdentity,
    epochSeconds: number,
    request: number,
  ): void {
    const use = wasInUse ? ` ${keeps}` : "";
    this.#say(`identity ${hostname} ${machineId} ${epochSeconds} ${request}${use}`);
  }

  close(): void {
    this.#stream.destroy();
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
    const message = parseGuestMessage(line);
    if (message === undefined) return;
    if (message.kind !== "progress") this.#last = message;
    this.#messages.emit(message);
  }
}

/** A message at the end of a console line; kernel messages may stand before it. */
export function parseGuestMessage(line: string): GuestMessage | undefined {
  const match = /smolvm: (?:(ready|done|quiet)|(failed):(.*)|(progress) (.*)|identity (\d+))$/.exec(
    line.trimEnd(),
  );
  if (match === null) return undefined;
  if (match[1] === "ready" || match[1] === "done" || match[1] === "quiet") return { kind: match[1] };
  if (match[2]) return { kind: "failed", reason: (match[3] ?? "").trim() };
  if (match[6]) return { kind: "identity", request: Number(match[6]) };
  return { kind: "progress", text: match[5] ?? "" };
}

function withoutReturns(text: string): string {
  return text.replaceAll("\r", "");
}
