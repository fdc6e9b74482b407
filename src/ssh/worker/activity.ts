/**
 * Counts the commands of one machine. A shell that was started ahead of time is as good as a new one only if no command
 * has begun or ended since, and none runs: any could have changed what a shell reads as it starts.
 */
export class Activity {
  #epoch = 0;
  #running = 0;
  #strangers = 0;
  #idleSinceMs = performance.now();

  /** Changes whenever a command begins or ends. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Another process that may change the guest counts like a command that goes on. */
  get running(): number {
    return this.#running + this.#strangers;
  }

  /** For how long no command of this process has run. */
  get idleMs(): number {
    return this.#running > 0 ? 0 : performance.now() - this.#idleSinceMs;
  }

  begin(): void {
    this.#running++;
    this.#epoch++;
  }

  end(): void {
    this.#running--;
    this.#epoch++;
    this.#idleSinceMs = performance.now();
  }

  /** Another process may run commands in the machine from now on, until what is given back is called. */
  share(): () => void {
    this.#strangers++;
    this.#epoch++;
    let isShared = true;
    return () => {
      if (!isShared) return;
      isShared = false;
      this.#strangers--;
      this.#epoch++;
    };
  }
}
