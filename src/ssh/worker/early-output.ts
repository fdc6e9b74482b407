import type { OutputStream } from "../spec/command-spec.ts";

/** More is not kept, together with the shell that prints so much. */
const MOST_BYTES = 64 * 1024;

interface Piece {
  readonly child: number;
  readonly stream: OutputStream;
  readonly bytes: Buffer;
}

/** What a worker's children have printed before they were given a command. */
export class EarlyOutput {
  #pieces: Piece[] = [];
  #bytes = 0;

  /** False where it is full, and has not taken it. */
  take(piece: Piece): boolean {
    if (this.#bytes > MOST_BYTES) return false;
    this.#pieces.push({ ...piece, bytes: Buffer.from(piece.bytes) });
    this.#bytes += piece.bytes.length;
    return true;
  }

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  /** What this child has printed; nothing is kept. */
  hand(child: number): Piece[] {
    const pieces = this.#pieces.filter((piece) => piece.child === child);
    this.drop();
    return pieces;
  }

  /** Of this child and those before it nothing is wanted any more. */
  forget(child: number): void {
    this.#pieces = this.#pieces.filter((piece) => piece.child > child);
  }

  drop(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }
}
