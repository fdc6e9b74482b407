/** What is noted of a command's way, in milliseconds from its call. */
export class CommandClock {
  readonly #calledMs = performance.now();
  #queuedMs: number | null = null;
  #sentMs: number | null = null;
  #firstByteMs: number | null = null;

  get elapsedMs(): number {
    return performance.now() - this.#calledMs;
  }

  get wasSent(): boolean {
    return this.#sentMs !== null;
  }

  /** It has its turn. */
  noteTurn(): void {
    this.#queuedMs = performance.now();
  }

  noteSent(): void {
    this.#sentMs = performance.now();
  }

  noteOutput(): void {
    this.#firstByteMs ??= performance.now();
  }

  read() {
    const nowMs = performance.now();
    const queuedMs = this.#queuedMs ?? nowMs;
    const sentMs = this.#sentMs ?? nowMs;
    return {
      durationMs: nowMs - this.#calledMs,
      queueMs: queuedMs - this.#calledMs,
      connectMs: sentMs - queuedMs,
      firstByteMs: (this.#firstByteMs ?? nowMs) - sentMs,
    };
  }
}
