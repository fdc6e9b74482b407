import { bounded } from "../util/bounded.ts";
import type { GuestConsole } from "./console.ts";

/** Of the host. */
export interface HostClocks {
  /** What the guest's clock is to show. */
  readonly wallMs: () => number;
  /** Never set by anybody; it may stand still while the host sleeps. */
  readonly monotonicMs: () => number;
}

const HOST_CLOCKS: HostClocks = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

/** Less than this nobody minds. */
const LEAST_LAG_MS = 150;
/** A clock that is behind by more is set at once, and the guest says so. */
const MOST_LAG_MS = 1_000;
/** An answer that took longer says nothing of the guest's clock. */
const LONGEST_ROUND_TRIP_MS = 600;
/** How often it is looked whether the host has slept, or its clock was set. */
const LOOK_EVERY_MS = 1_000;
/** How often a guest's clock is compared that nothing has befallen: that of an emulated one drifts. */
const COMPARE_EVERY_MS = 30_000;

/**
 * Keeps the clock of a guest of ours within a second of the host's. It stands still while the machine is paused, and may while the host
 * sleeps. The guest sets its clock in whole seconds, as a shell's programs know no others: what it is told at once leaves it behind by less
 * than one, and what it is told as the next second begins leaves it right.
 */
export class GuestClock {
  readonly #console: GuestConsole;
  readonly #clocks: HostClocks;
  readonly #mayTell: (kind: "compare" | "set") => boolean;
  readonly #stops: (() => void)[] = [];
  readonly #waiting = new Set<() => void>();
  /** Above what a guest that was restored has been asked. */
  #lastRequest = 1_000;
  /** What the guest was told last, until it has answered. */
  #sent: { readonly request: number; readonly atMs: number } | null = null;
  #isFarBehind = false;
  #stoppedMs: number | null = null;
  #offsetMs: number;
  #comparedMs: number;
  #exactly: NodeJS.Timeout | null = null;

  /** `mayTell` is asked each time. Until `close`; it keeps no event loop alive. */
  constructor(
    console: GuestConsole,
    mayTell: (kind: "compare" | "set") => boolean,
    clocks: HostClocks = HOST_CLOCKS,
  ) {
    this.#console = console;
    this.#mayTell = mayTell;
    this.#clocks = clocks;
    this.#offsetMs = this.#offset();
    this.#comparedMs = clocks.monotonicMs();
    const look = setInterval(() => this.look(), LOOK_EVERY_MS);
    look.unref();
    this.#stops.push(
      () => clearInterval(look),
      console.onMessage((message) => {
        if (message.kind === "identity" || message.kind === "ahead") this.#hear(message);
      }),
    );
  }

  /** The guest stands still from now on, or goes on. */
  noteRun(isRunning: boolean): void {
    const nowMs = this.#clocks.wallMs();
    if (!isRunning) {
      this.#stoppedMs ??= nowMs;
      return;
    }
    const lagMs = this.#stoppedMs === null ? 0 : nowMs - this.#stoppedMs;
    this.#stoppedMs = null;
    const isTold = lagMs > LEAST_LAG_MS && this.#tell();
    this.#isFarBehind = lagMs > MOST_LAG_MS && isTold;
  }

  /** Looks whether the host has slept or its clock was set, or it is time to compare. */
  look(): void {
    const nowMs = this.#clocks.monotonicMs();
    const jumpedMs = this.#offset() - this.#offsetMs;
    this.#offsetMs += jumpedMs;
    if (Math.abs(jumpedMs) > LEAST_LAG_MS) this.#tell();
    else if (nowMs - this.#comparedMs >= COMPARE_EVERY_MS) this.#tellExactly("compare");
  }

  /** A guest that was far behind has set its clock; at most so long is waited. Never rejects. */
  async settled(timeoutMs: number): Promise<void> {
    if (!this.#isFarBehind) return;
    const answered = new Promise<void>((resolve) => this.#waiting.add(resolve));
    await bounded(answered, { operation: "Setting the guest's clock", timeoutMs }).catch(() =>
      this.#release(),
    );
  }

  close(): void {
    for (const stop of this.#stops) stop();
    if (this.#exactly) clearTimeout(this.#exactly);
    this.#release();
  }

  #offset(): number {
    return this.#clocks.wallMs() - this.#clocks.monotonicMs();
  }

  /** At once, and again as the next second begins. False where it can't be told at once. */
  #tell(): boolean {
    const isTold = this.#send("compare");
    this.#tellExactly("compare");
    return isTold;
  }

  /** Where it can't be told then, as each further second begins. */
  #tellExactly(kind: "compare" | "set"): void {
    this.#comparedMs = this.#clocks.monotonicMs();
    if (this.#exactly) clearTimeout(this.#exactly);
    const untilNextMs = 1_000 - (this.#clocks.wallMs() % 1_000);
    this.#exactly = setTimeout(() => {
      if (!this.#send(kind) && this.#console.listens) this.#tellExactly(kind);
    }, untilNextMs);
    this.#exactly.unref();
  }

  #send(kind: "compare" | "set"): boolean {
    if (this.#stoppedMs !== null || !this.#console.listens || !this.#mayTell(kind)) return false;
    const request = ++this.#lastRequest;
    const [epochMs, atMs] = [this.#clocks.wallMs(), this.#clocks.monotonicMs()];
    const isSaid =
      kind === "set"
        ? this.#console.giveTime(Math.round(epochMs / 1000), request)
        : this.#console.tellTime(epochMs, request);
    if (isSaid) this.#sent = { request, atMs };
    return isSaid;
  }

  /** Backward it is only set by a time that can't be an old one. */
  #hear({ kind, request }: { readonly kind: "identity" | "ahead"; readonly request: number }): void {
    if (this.#sent?.request !== request) return;
    const isFresh = this.#clocks.monotonicMs() - this.#sent.atMs <= LONGEST_ROUND_TRIP_MS;
    this.#sent = null;
    this.#release();
    if (kind === "ahead") this.#tellExactly(isFresh ? "set" : "compare");
    else if (!isFresh) this.#tellExactly("compare");
  }

  #release(): void {
    this.#isFarBehind = false;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
