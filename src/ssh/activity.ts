/**
 * Counts the commands of one machine. A shell that was started ahead of time is as good as a new one only if no command
 * has begun or ended since, and none runs: any could have changed what a shell reads as it starts.
 */
export class Activity {
  #epoch = 0;
  #running = 0;

  /** Changes whenever a command begins or ends. */
  get epoch(): number {
    return this.#epoch;
  }

  get running(): number {
    return this.#running;
  }

  begin(): void {
    this.#running++;
    this.#epoch++;
  }

  end(): void {
    this.#running--;
    this.#epoch++;
  }

  /** Something else has changed the guest. */
  disturb(): void {
    this.#epoch++;
  }
}
