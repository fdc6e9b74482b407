import { Activity } from "./activity.ts";
import { connectWithRetries } from "./connect.ts";
import { ConnectError } from "./connection.ts";
import { closeWhenDead } from "./keep-alive.ts";
import type { GuestFacts } from "./keeper.ts";
import { Link, type LinkName, newLinkName } from "./link.ts";
import type { Place } from "./place.ts";
import type { SshTarget } from "./target.ts";

/** More than one only where the server lets us have few channels on each. */
const MOST_LINKS = 4;
/** How long a connection is tried for that nobody has asked for. */
const RECONNECT_BOUND_MS = 60_000;

export interface LinksOptions {
  /** Asked anew for each connection. */
  readonly target: () => Promise<SshTarget>;
  /** Whether the machine stands still on purpose. */
  readonly isPaused: () => boolean;
  readonly onFacts: (facts: GuestFacts) => void;
  /** What the first connection is to be called, whose keeper then looks after what goes by that name already. */
  readonly firstName: LinkName | null;
}

/** The connections to one machine: made when one is needed, kept, replaced when they break. */
export class Links {
  readonly activity = new Activity();
  readonly #options: LinksOptions;
  #links: Link[] = [];
  #connecting: { readonly link: Promise<Link>; readonly abort: AbortController; waiting: number } | null =
    null;
  #firstName: LinkName | null;
  #isForeign = false;
  #broken: LinkName[] = [];
  #isClosed = false;
  readonly #onRoom = new Set<() => void>();

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#firstName = options.firstName;
  }

  /** A connection with room for one more shell. Rejects with the signal's reason, ConnectError, or what the target's getter throws. */
  async get(signal: AbortSignal): Promise<Link> {
    for (;;) {
      signal.throwIfAborted();
      this.#links = this.#links.filter(({ connection }) => connection.isOpen);
      const link = this.#links.find(({ hasRoom }) => hasRoom);
      if (link) return link;
      if (this.#links.length < MOST_LINKS) await this.#connect(signal);
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

  /** Tells those who wait that a shell has ended. */
  announceRoom(): void {
    for (const wake of this.#onRoom) wake();
    this.#onRoom.clear();
  }

  /** True the first time: the login shell understood nothing, and it is worth trying again with /bin/sh in front. */
  suspectForeignShell(place: Place): boolean {
    if (place.isForeign) return false;
    this.#isForeign = true;
    for (const one of this.#links) one.isForeign = true;
    return true;
  }

  /** Closes the connections, where no command needs them; the next one makes another. */
  async rest(): Promise<void> {
    if (this.activity.idleMs === 0) return;
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

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** All who wait share one attempt; it ends when the last of them has left. */
  async #connect(signal: AbortSignal): Promise<void> {
    // Else who asks late would knock for ever where nobody is any more.
    if (this.#isClosed) throw new ConnectError("it was closed from this side", true);
    this.#connecting ??= this.#startConnecting();
    const attempt = this.#connecting;
    attempt.waiting++;
    try {
      await unlessAborted(attempt.link, signal);
    } finally {
      attempt.waiting--;
      if (attempt.waiting === 0 && this.#connecting === attempt) {
        this.#connecting = null; // who comes next must not share its end
        attempt.abort.abort(new Error("nobody waits"));
      }
    }
  }

  #startConnecting() {
    const abort = new AbortController();
    const link = connectWithRetries(this.#options.target, abort.signal).then((connection) => {
      const { onFacts, isPaused } = this.#options;
      const made = new Link(connection, {
        name: this.#firstName ?? newLinkName(),
        activity: this.activity,
        isForeign: this.#isForeign,
        onFacts,
        broken: this.#broken,
      });
      this.#broken = [];
      this.#firstName = null;
      closeWhenDead(connection, isPaused);
      connection.letProcessEnd();
      this.#links.push(made);
      if (this.#isClosed) connection.close();
      void connection.lost.then(() => this.#lost(made));
      return made;
    });
    const attempt = { link, abort, waiting: 0 };
    const done = () => {
      if (this.#connecting === attempt) this.#connecting = null;
    };
    link.then(done, done);
    return attempt;
  }

  /** What ran on it ends by its keeper. Where it had none yet the next connection's does that: one is made for it. */
  #lost(link: Link): void {
    this.announceRoom();
    if (this.#isClosed || !link.mayHaveLeftSomebody) return;
    this.#broken.push(...link.unburied);
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
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
