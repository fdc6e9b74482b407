/** What a source feeds: a command that has its shell. */
export interface InputTaker {
  /** What is meant for it must not be sent any more, somebody else may read where it read. */
  readonly isOver: boolean;
  /** Resolves when the guest has taken it; rejects when it never will. */
  writeStdin(bytes: Uint8Array): Promise<void>;
  endStdin(): void;
}

/** Where a command's input comes from, from the moment it is given until it is let go. */
export interface HeldSource {
  /** The command has its shell: it gets all there is, and then its end. Never rejects. */
  feed(process: InputTaker): Promise<void>;
  /** Told once at most, and at once where it is so already: it broke, by this error. */
  onBroken(listener: (error: unknown) => void): void;
  /** The command is over: nobody reads on. What breaks from now on is nobody's failure. Twice is fine. */
  release(): void;
}

/** The first failure of a source, kept for who asks late. */
export class Failure {
  #failure: { readonly error: unknown } | null = null;
  #listener: ((error: unknown) => void) | null = null;
  #isOver = false;

  tell(error: unknown): void {
    if (this.#isOver || this.#failure) return;
    this.#failure = { error };
    this.#listener?.(error);
  }

  listen(listener: (error: unknown) => void): void {
    this.#listener = listener;
    if (this.#failure) listener(this.#failure.error);
  }

  /** Failures are nobody's from now on. */
  close(): void {
    this.#isOver = true;
  }
}
