import { setTimeout as sleep } from "node:timers/promises";
import type { MachinePaths, StatePaths } from "../../state/paths.ts";
import { bounded } from "../../util/bounded.ts";
import type { MachineSpec } from "../machine/spec.ts";
import { type CallOptions, type HolderConnection, HolderGoneError, type News } from "./connection.ts";
import { connectHolder, obtainHolder } from "./holder.ts";
import type { Operation } from "./protocol.ts";

export interface HolderLinkOptions {
  readonly spec: MachineSpec;
  readonly state: StatePaths;
  readonly onNews: (news: News) => void;
  /** The holder has hung up, or ended. */
  readonly onLost: () => void;
}

export interface AskOptions extends CallOptions {
  /** Null: for as long as it takes. */
  readonly timeoutMs: number | null;
  /** What the error of its end names instead. */
  readonly namedMs?: number;
}

/** A holder that is about to end is gone within these, and the next one asked. */
const ATTEMPTS = 10;
const PAUSE_MS = 10;
/** With time for these that the caller gives: it proves nothing that it ran out. */
const TAKE_LONG: readonly Operation[] = ["snapshot", "copy"];

/** The one connection of a handle to the process that holds its machine: made when it is needed, made again when it is lost. */
export class HolderLink {
  readonly #options: HolderLinkOptions;
  #holder: HolderConnection | null = null;
  #connecting: Promise<HolderConnection | null> | null = null;

  constructor(options: HolderLinkOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#holder?.isOpen ?? false;
  }

  /** Null where nobody holds the machine. SmolVMError "UNRESPONSIVE", "OTHER_VERSION". */
  async connect(paths: MachinePaths | null): Promise<HolderConnection | null> {
    if (this.#holder?.isOpen) return this.#holder;
    if (paths === null) return null;
    this.#connecting ??= connectHolder(paths, this.#options.spec.id, this.#options.onNews)
      .then((holder) => holder && this.#keep(holder))
      .finally(() => {
        this.#connecting = null;
      });
    return this.#connecting;
  }

  /** The same, but a supervisor is started where nobody holds the machine. */
  async obtain(paths: MachinePaths): Promise<HolderConnection> {
    const { spec, state, onNews } = this.#options;
    const found = await this.connect(paths);
    return found ?? this.#keep(await obtainHolder(state, spec, paths, onNews));
  }

  /**
   * What the holder answers, or throws; null where `way` finds none. A call that no holder has taken, because the connection had
   * ended unseen or the holder was about to end, is made again by a new way. OperationTimeoutError where none answers.
   */
  async ask(
    way: () => Promise<HolderConnection | null>,
    operation: Operation,
    args: object | (() => object),
    { timeoutMs, namedMs, ...options }: AskOptions,
  ): Promise<{ readonly value: unknown } | null> {
    for (let attempt = 1; ; attempt++) {
      const holder = await way();
      if (holder === null) return null;
      const call = holder.call(operation, typeof args === "function" ? args() : args, options);
      const what = `Asking the process that holds machine "${this.#options.spec.name}"`;
      try {
        return {
          value: await (timeoutMs === null ? call : bounded(call, { operation: what, timeoutMs, namedMs })),
        };
      } catch (error) {
        if (Object(error).operation === what && !TAKE_LONG.includes(operation))
          Object.assign(Object(error).details, { isHolder: true });
        const isUntaken = error instanceof HolderGoneError && !error.wasTaken;
        if (!isUntaken || options.signal?.aborted || attempt === ATTEMPTS) throw error;
        await sleep(attempt * PAUSE_MS);
      }
    }
  }

  close(): void {
    const holder = this.#holder;
    this.#holder = null;
    holder?.close();
  }

  #keep(holder: HolderConnection): HolderConnection {
    if (this.#holder?.isOpen) {
      holder.close(); // two looked at the same time, and one way is enough
      return this.#holder;
    }
    this.#holder = holder;
    void holder.closed.then(() => {
      if (this.#holder !== holder) return;
      this.#holder = null;
      this.#options.onLost();
    });
    return holder;
  }
}
