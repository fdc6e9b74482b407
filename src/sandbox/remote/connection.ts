import type { Socket } from "node:net";
import { SmolVMError } from "../../errors.ts";
import { watchAbort } from "../../util/watch-abort.ts";
import { decodeError } from "./errors.ts";
import { ALIVE_MS, type Operation, onReply, type Reply, send } from "./protocol.ts";

/** What a caller wants of a call besides its result. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: unknown) => void) | undefined;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((progress: unknown) => void) | undefined;
  isTaken: boolean;
}

type Answer = Extract<Reply, { kind: "taken" | "result" | "error" | "progress" }>;
export type News = Exclude<Reply, { kind: Answer["kind"] | "alive" }>;

/** How many signs of life of the holder may be missing. Counted, not timed: this process may have been stopped meanwhile. */
const MOST_MISSING = 6;

/**
 * The way to the process that holds a machine. It does not keep this process's event loop alive, but a call that waits does.
 */
export class HolderConnection {
  /** Settles when the holder is gone, or this side has closed; never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #missing = 0;
  #counting: NodeJS.Timeout | null = null;

  /** `onNews` hears what nobody has asked for; where it throws, the connection is closed. */
  constructor(socket: Socket, onNews: (news: News) => void) {
    this.#socket = socket;
    socket.unref();
    onReply(socket, (reply) => {
      this.#missing = 0;
      if (reply.kind === "alive") return;
      if (isAnswer(reply)) this.#answer(reply);
      else this.#tell(reply, onNews);
      if (reply.kind === "shared") send(socket, { kind: "heard", id: reply.id });
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#refuseAll();
        resolve();
      });
    });
  }

  get isOpen(): boolean {
    return this.#socket.writable;
  }

  /**
   * Throws what the holder's own call throws; HolderGoneError where the holder ends first, SmolVMError "UNRESPONSIVE" where it lives
   * and says nothing any more. Aborting ends the work there.
   */
  async call(
    operation: Operation,
    args: object = {},
    { signal, onProgress }: CallOptions = {},
  ): Promise<unknown> {
    if (!this.isOpen) throw new HolderGoneError(false);
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onProgress, isTaken: false });
    });
    this.#socket.ref();
    send(this.#socket, { kind: "call", id, operation, args });
    const cancel = () => send(this.#socket, { kind: "cancel", id });
    if (signal?.aborted) cancel();
    const stopWatching = signal ? watchAbort(signal, cancel) : () => {};
    this.#counting ??= setInterval(() => this.#countMissing(), ALIVE_MS);
    try {
      return await answer;
    } finally {
      stopWatching();
      if (this.#pending.size === 0) this.#rest();
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** A holder whose news can't be made sense of is as good as none. */
  #tell(news: News, onNews: (news: News) => void): void {
    try {
      onNews(news);
    } catch {
      this.close();
    }
  }

  #answer(reply: Answer): void {
    const pending = this.#pending.get(reply.id);
    if (pending) pending.isTaken = true;
    if (reply.kind === "taken") return;
    if (reply.kind === "progress") pending?.onProgress?.(reply.progress);
    else this.#pending.delete(reply.id);
    if (reply.kind === "result") pending?.resolve(reply.value);
    if (reply.kind === "error") pending?.reject(decodeError(reply.error));
  }

  #rest(): void {
    this.#socket.unref();
    if (this.#counting) clearInterval(this.#counting);
    this.#counting = null;
    this.#missing = 0;
  }

  /** A holder that a signal has stopped keeps its socket, and would be waited for for ever. */
  #countMissing(): void {
    this.#missing++;
    if (this.#missing <= MOST_MISSING) return;
    this.#refuseAll(() => silentError());
    this.close();
  }

  #refuseAll(why: (isTaken: boolean) => Error = (isTaken) => new HolderGoneError(isTaken)): void {
    for (const { reject, isTaken } of this.#pending.values()) reject(why(isTaken));
    this.#pending.clear();
  }
}

function isAnswer(reply: Reply): reply is Answer {
  return ["taken", "result", "error", "progress"].includes(reply.kind);
}

/** The holder ended while it was asked. */
export class HolderGoneError extends SmolVMError {
  /** False: it has never begun what was asked, and somebody else can be asked the same. */
  readonly wasTaken: boolean;

  constructor(wasTaken: boolean) {
    super("VM_STATE", "The process that holds the machine ended while it was asked.", {
      remediation: "Look at the machine's status: smolvm ls -a",
    });
    this.wasTaken = wasTaken;
  }
}

export function silentError(cause?: unknown): SmolVMError {
  return new SmolVMError("UNRESPONSIVE", "The process that holds the machine does not answer.", {
    remediation: "Look whether it was stopped by a signal; smolvm inspect shows its pid.",
    details: { isHolder: true },
    cause,
  });
}
