import type { Duplex } from "node:stream";
import { bounded } from "../../util/bounded.ts";
import { lineSplitter } from "../../util/line-splitter.ts";
import { paceStream } from "../../util/pace.ts";
import { Listeners } from "../listeners.ts";
import { QmpError } from "./error.ts";
import { parseQmpMessage, type QmpEvent, type QmpMessage } from "./messages.ts";

export interface QmpCallOptions {
  /** Default 30 s: OperationTimeoutError. The outcome is unknown then: QEMU may still do it. */
  readonly timeoutMs?: number;
  /** OperationAbortedError; the outcome is unknown then. */
  readonly signal?: AbortSignal | undefined;
}

interface PendingCall {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QmpError) => void;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const LONGEST_MESSAGE_BYTES = 8 * 1024 * 1024;
/** A guest can have QEMU tell of events without end. To look at one costs as much as so many bytes. */
const BYTES_EACH_SECOND = 16 * 1024 * 1024;
const MESSAGE_BYTES = 8 * 1024;

/**
 * The conversation with one QEMU. When it breaks, every pending call fails with a QmpError, and so does
 * every later one. The stream itself does not keep the event loop alive, calls with a deadline do.
 *
 * QEMU does one command after the other: its answer to a question says that all that was asked before has been done or refused.
 */
export class QmpClient {
  /** QEMU's own version, from its greeting. */
  readonly version: string;
  /** Settles when the conversation is over; never rejects. */
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #pending = new Map<number, PendingCall>();
  readonly #events = new Listeners<QmpEvent>();
  #lastId = 0;
  #broken: QmpError | null = null;
  #resolveClosed = () => {};

  private constructor(stream: Duplex, version: string) {
    this.#stream = stream;
    this.version = version;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Waits for the greeting and leaves negotiation mode. The stream is destroyed where that fails. */
  static async connect(stream: Duplex, options: QmpCallOptions = {}): Promise<QmpClient> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    try {
      const bounds = { operation: "Waiting for QEMU's greeting", timeoutMs, signal: options.signal };
      const client = await bounded(QmpClient.#greet(stream), bounds);
      await client.#negotiate(options);
      return client;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  /**
   * What QEMU answers to a command, however late; QmpError where it refuses, or the conversation ends. For what has to be known for
   * sure: a caller that must not wait for ever bounds its own wait, and the answer is still heard. It does not keep the event loop alive.
   */
  send(command: string, args: object = {}): Promise<unknown> {
    if (this.#broken) return Promise.reject(this.#broken);
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { command, resolve, reject });
      this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
    answer.catch(() => {}); // it may come when nobody waits any more
    return answer;
  }

  /** The same, but not past a deadline or an abort. The caller decodes the answer. */
  async execute(command: string, args: object = {}, options: QmpCallOptions = {}): Promise<unknown> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const bounds = { operation: `QEMU's command ${command}`, timeoutMs, signal: options.signal };
    return await bounded(this.send(command, args), bounds);
  }

  /** Hears every event from now on; gives back how to stop listening. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    return this.#events.add(listener);
  }

  /** Ends the conversation from this side. QEMU itself goes on. */
  close(): void {
    this.#break(new QmpError("connection", "The conversation with QEMU was closed."));
  }

  static #greet(stream: Duplex): Promise<QmpClient> {
    return new Promise((resolve, reject) => {
      let client: QmpClient | undefined;
      const onEnd = (why: string, cause?: unknown) => {
        if (client)
          client.#break(new QmpError("connection", `QEMU ended the conversation: ${why}.`, { cause }));
        else
          reject(
            new QmpError("greeting", `QEMU ended the conversation before its greeting: ${why}.`, { cause }),
          );
      };
      const spend = paceStream(stream, BYTES_EACH_SECOND);
      const onLine = (line: Buffer, cut: boolean) => {
        spend(line.length + MESSAGE_BYTES);
        if (cut) {
          onEnd(`a message of more than ${LONGEST_MESSAGE_BYTES} bytes`);
        } else if (client) {
          client.#receive(line);
        } else {
          client = QmpClient.#fromGreeting(stream, line);
          if (client) resolve(client);
          else reject(new QmpError("greeting", `QEMU's first message was no greeting: ${excerpt(line)}`));
        }
      };
      stream.on("data", lineSplitter(LONGEST_MESSAGE_BYTES, onLine));
      stream.on("error", (error) => onEnd(error.message, error));
      stream.on("close", () => onEnd("its end of the socket is closed"));
      stream.on("end", () => onEnd("its end of the socket is closed"));
    });
  }

  async #negotiate(options: QmpCallOptions): Promise<void> {
    try {
      await this.execute("qmp_capabilities", {}, options);
    } catch (cause) {
      if (!(cause instanceof QmpError)) throw cause;
      throw new QmpError("negotiation", `QEMU did not take up the conversation: ${cause.message}`, { cause });
    }
  }

  static #fromGreeting(stream: Duplex, line: Buffer): QmpClient | undefined {
    const message = parseQmpMessage(line.toString("utf8"));
    return message?.kind === "greeting" ? new QmpClient(stream, message.version) : undefined;
  }

  #receive(line: Buffer): void {
    if (this.#broken) return;
    const message = parseQmpMessage(line.toString("utf8"));
    if (message?.kind === "event") {
      this.#events.emit(message.event);
    } else if (message && "id" in message && typeof message.id === "number") {
      const call = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      this.#settle(call, message);
    } else {
      this.#break(new QmpError("connection", `QEMU sent what is no answer: ${excerpt(line)}`));
    }
  }

  /** The call is absent where QEMU answers twice. */
  #settle(call: PendingCall | undefined, message: QmpMessage): void {
    if (message.kind === "return") call?.resolve(message.value);
    if (message.kind === "error") call?.reject(refusal(call.command, message));
  }

  #break(error: QmpError): void {
    if (this.#broken) return;
    this.#broken = error;
    for (const call of this.#pending.values()) call.reject(error);
    this.#pending.clear();
    this.#stream.destroy();
    this.#resolveClosed();
  }
}

function refusal(command: string, { errorClass, text }: { errorClass: string; text: string }): QmpError {
  return new QmpError("command", `QEMU refused ${command}: ${text}`, { errorClass });
}

function excerpt(line: Buffer): string {
  return JSON.stringify(line.toString("utf8").slice(0, 200));
}
