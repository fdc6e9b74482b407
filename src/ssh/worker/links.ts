import { setTimeout as sleep } from "node:timers/promises";
import { watchAbort } from "../../util/watch-abort.ts";
import { Backoff } from "../transport/backoff.ts";
import { connectWithRetries } from "../transport/connect.ts";
import { closeWhenDead, type Guest } from "../transport/keep-alive.ts";
import { ConnectError, type SshConnection } from "../transport/ssh-connection.ts";
import type { SshTarget } from "../transport/ssh-target.ts";
import { Activity } from "./activity.ts";
import type { GuestFacts } from "./control-shell.ts";
import { Link, type LinkName, newLinkName } from "./link.ts";

/** More than one only where the server lets us have few channels on each. */
const MOST_LINKS = 4;
/** How long a connection is tried for that nobody has asked for. */
const RECONNECT_BOUND_MS = 60_000;
/** A connection that breaks sooner, before it has served a command, is not worth another one at once. */
const YOUNG_MS = 5_000;
const LONGEST_PAUSE_MS = 30_000;
const MEND_EVERY_MS = 3_000;
/** After so many in a row that broke young, the next one is left to the next command. */
const MOST_YOUNG = 8;
/** Silence is counted in such pieces, each as a whole or not at all. */
const SLICE_MS = 1_000;

export interface LinksOptions extends Guest {
  /** Asked again for each connection. */
  readonly target: () => Promise<SshTarget>;
  /** How often, as long as no connection comes up: 3 s by default. */
  readonly mendEveryMs?: number | undefined;
  readonly onFacts: (facts: GuestFacts) => void;
  /** What the first connection is to be called, whose keeper then looks after what goes by that name already. */
  readonly firstName: LinkName | null;
}

interface Attempt {
  readonly link: Promise<Link>;
  readonly abort: AbortController;
  /** How many wait for it. */
  waiting: number;
  /** What became of its last try. */
  failure: ConnectError | null;
}

/** The connections to one machine: made when one is needed, kept, replaced when they break. */
export class Links {
  readonly activity = new Activity();
  readonly #options: LinksOptions;
  #links: Link[] = [];
  #connecting: Attempt | null = null;
  #firstName: LinkName | null;
  #broken: LinkName[] = [];
  #isClosed = false;
  /** How many connections in a row broke young, and how long the next one waits for it. */
  #young = 0;
  #pauseMs = 0;
  readonly #backoff = new Backoff(LONGEST_PAUSE_MS);
  readonly #onRoom = new Set<() => void>();

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#firstName = options.firstName;
  }

  /**
   * A connection with room for one more shell. Rejects with the signal's reason, ConnectError, or what the target's getter throws. A new
   * connection is waited for as long as `patienceMs` says, while the machine is not paused.
   */
  async get(signal: AbortSignal, patienceMs = Number.POSITIVE_INFINITY): Promise<Link> {
    for (;;) {
      signal.throwIfAborted();
      this.#links = this.#links.filter(({ connection }) => connection.isOpen);
      const link = this.#links.find(({ hasRoom }) => hasRoom);
      if (link) return link;
      if (this.#links.length < MOST_LINKS) await this.#connect(signal, patienceMs);
      else await this.#room(signal);
    }
  }

  /** A connection that stands, whether or not it has room. */
  get standing(): Link | undefined {
    return this.#links.find(({ connection }) => connection.isOpen);
  }

  /** Connects ahead of time, unless a connection stands. */
  async prepare(signal: AbortSignal): Promise<void> {
    if (this.#links.some(({ connection }) => connection.isOpen)) return;
    await this.#connect(signal);
  }

  /** Asks the guest to mend what may keep this side out. */
  mend(): void {
    if (!this.#options.isPaused()) this.#options.mend();
  }

  /** Tells those who wait that a shell has ended. */
  announceRoom(): void {
    for (const wake of this.#onRoom) wake();
    this.#onRoom.clear();
  }

  /** Closes the connections, which no command needs at this moment; the next one makes another. */
  async rest(): Promise<void> {
    const resting = this.#links;
    this.#links = [];
    await Promise.all(resting.map((link) => link.close()));
  }

  /** Ends all connections; in the guest every command dies with them. */
  async close(): Promise<void> {
    this.#refuseNew();
    await Promise.all(this.#links.map((link) => link.close()));
    this.announceRoom();
  }

  /** As `close`, where the guest is gone already. */
  abandon(): void {
    this.#refuseNew();
    for (const { connection } of this.#links) connection.close();
    this.announceRoom();
  }

  #refuseNew(): void {
    this.#isClosed = true;
    this.#connecting?.abort.abort(new Error("closed"));
  }

  /** All who wait share one attempt; it ends when the last of them has left. */
  async #connect(signal: AbortSignal, patienceMs = Number.POSITIVE_INFINITY): Promise<void> {
    // Else who asks late would knock for ever where nobody is any more.
    if (this.#isClosed) throw new ConnectError("it was closed from this side", true);
    this.#connecting ??= this.#startConnecting();
    const attempt = this.#connecting;
    attempt.waiting++;
    const over = new AbortController();
    try {
      await Promise.race([
        unlessAborted(attempt.link, signal),
        this.#untilTooSilent(attempt, patienceMs, over.signal),
      ]);
    } finally {
      over.abort();
      attempt.waiting--;
      if (attempt.waiting === 0 && this.#connecting === attempt) {
        this.#connecting = null; // who comes next must not share its end
        attempt.abort.abort(new Error("nobody waits"));
      }
    }
  }

  async #untilTooSilent(attempt: Attempt, patienceMs: number, signal: AbortSignal): Promise<never> {
    for (let silentMs = 0; silentMs < patienceMs; ) {
      const sliceMs = Math.min(patienceMs - silentMs, SLICE_MS);
      await sleep(sliceMs, undefined, { ref: false, signal });
      if (!this.#options.isPaused()) silentMs += sliceMs;
    }
    const { failure } = attempt;
    const last = failure === null ? "" : ` (${failure.message})`;
    throw new ConnectError(
      `the SSH server has not answered for ${patienceMs / 1000} s${last}`,
      true,
      failure,
    );
  }

  #startConnecting(): Attempt {
    const abort = new AbortController();
    const onFailure = (failure: ConnectError) => {
      attempt.failure = failure;
    };
    const link = this.#connectAfterPause(abort.signal, onFailure).then((connection) => {
      const { onFacts } = this.#options;
      const made = new Link(connection, {
        name: this.#firstName ?? newLinkName(),
        activity: this.activity,
        onFacts,
        broken: this.#broken,
      });
      this.#broken = [];
      this.#firstName = null;
      closeWhenDead(connection, this.#options);
      connection.letProcessEnd();
      this.#links.push(made);
      if (this.#isClosed) connection.close();
      const madeMs = performance.now();
      void connection.lost.then(() => {
        if (!made.wasClosed) this.#noteEnd(made.hasServed || performance.now() - madeMs >= YOUNG_MS);
        this.#lost(made);
      });
      return made;
    });
    const attempt: Attempt = { link, abort, waiting: 0, failure: null };
    const mending = setInterval(() => this.mend(), this.#options.mendEveryMs ?? MEND_EVERY_MS);
    mending.unref();
    const done = () => {
      clearInterval(mending);
      if (this.#connecting === attempt) this.#connecting = null;
    };
    link.then(done, done);
    return attempt;
  }

  async #connectAfterPause(
    signal: AbortSignal,
    onFailure: (failure: ConnectError) => void,
  ): Promise<SshConnection> {
    if (this.#pauseMs > 0) await sleep(this.#pauseMs, undefined, { ref: false, signal }).catch(() => {});
    return await connectWithRetries(this.#options.target, signal, onFailure);
  }

  #noteEnd(wasOfUse: boolean): void {
    this.#young = wasOfUse ? 0 : this.#young + 1;
    this.#pauseMs = this.#backoff.pauseAfter(wasOfUse);
  }

  /** What ran on it ends by its keeper. Where it had none yet the next connection's does that: one is made for it. */
  #lost(link: Link): void {
    this.announceRoom();
    if (this.#isClosed || !link.mayHaveLeftSomebody) return;
    this.#broken.push(...link.unburied);
    if (this.#young > MOST_YOUNG) return;
    const connects = this.#connect(AbortSignal.timeout(RECONNECT_BOUND_MS));
    connects.catch(() => {}); // the next command will say so
  }

  #room(signal: AbortSignal): Promise<void> {
    let wake = () => {};
    const room = new Promise<void>((resolve) => {
      wake = resolve;
      this.#onRoom.add(wake);
    });
    return unlessAborted(room, signal).finally(() => this.#onRoom.delete(wake));
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) return onAbort();
    work.then(resolve, reject).finally(watchAbort(signal, onAbort));
  });
}
