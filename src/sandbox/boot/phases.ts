/** Measures the named stretches of a piece of work, one after the other. */
export class PhaseClock {
  readonly #phases: { name: string; ms: number }[] = [];
  #lastMs = performance.now();

  /** Ends the stretch that has been going on since the last call, and names it. */
  mark(name: string): void {
    const nowMs = performance.now();
    this.#phases.push({ name, ms: Math.round((nowMs - this.#lastMs) * 10) / 10 });
    this.#lastMs = nowMs;
  }

  get phases(): readonly { readonly name: string; readonly ms: number }[] {
    return [...this.#phases];
  }
}
