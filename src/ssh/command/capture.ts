/**
 * Keeps what one stream printed, up to `maxBytes`: all of it, or else the first half and the last half of what came.
 * Chunks are copied: they are small views of big packets, which would stay in memory with them.
 */
export class Capture {
  readonly #headLimit: number;
  readonly #tailLimit: number;
  #head: Buffer = Buffer.alloc(0);
  #headLength = 0;
  /** A ring that begins at `#tailStart`; allocated when the head is full. */
  #tail: Buffer | null = null;
  #tailStart = 0;
  #tailLength = 0;
  #dropped = 0;

  constructor(maxBytes: number) {
    this.#headLimit = Math.ceil(maxBytes / 2);
    this.#tailLimit = maxBytes - this.#headLimit;
  }

  get isTruncated(): boolean {
    return this.#dropped > 0;
  }

  add(chunk: Buffer): void {
    const forHead = Math.min(chunk.length, this.#headLimit - this.#headLength);
    if (forHead > 0) this.#addToHead(chunk.subarray(0, forHead));
    if (forHead < chunk.length) this.#addToTail(chunk.subarray(forHead));
  }

  /** What was kept, as one copy. */
  bytes(): Uint8Array {
    const kept = new Uint8Array(this.#headLength + this.#tailLength);
    kept.set(this.#head.subarray(0, this.#headLength));
    if (this.#tail) {
      const first = Math.min(this.#tailLength, this.#tail.length - this.#tailStart);
      kept.set(this.#tail.subarray(this.#tailStart, this.#tailStart + first), this.#headLength);
      kept.set(this.#tail.subarray(0, this.#tailLength - first), this.#headLength + first);
    }
    return kept;
  }

  /** What was kept, as text: invalid sequences as U+FFFD. */
  text(bytes: Uint8Array = this.bytes()): string {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  }

  #addToHead(chunk: Buffer): void {
    this.#head = grown(this.#head, this.#headLength, chunk.length, this.#headLimit);
    chunk.copy(this.#head, this.#headLength);
    this.#headLength += chunk.length;
  }

  #addToTail(chunk: Buffer): void {
    const room = this.#tailLimit - this.#tailLength;
    this.#dropped += Math.max(0, chunk.length - room);
    const kept = chunk.subarray(Math.max(0, chunk.length - this.#tailLimit));
    if (this.#tailLength < this.#tailLimit) this.#growTail(kept.length);
    const ring = this.#tail;
    if (!ring || ring.length === 0) return;
    const at = (this.#tailStart + this.#tailLength) % ring.length;
    const first = kept.copy(ring, at);
    kept.copy(ring, 0, first);
    const overwritten = Math.max(0, this.#tailLength + kept.length - ring.length);
    this.#tailStart = (this.#tailStart + overwritten) % ring.length;
    this.#tailLength = Math.min(ring.length, this.#tailLength + kept.length);
  }

  /** Until it is full the ring begins at 0, so that it can grow like any buffer. */
  #growTail(more: number): void {
    this.#tail = grown(this.#tail ?? Buffer.alloc(0), this.#tailLength, more, this.#tailLimit);
  }
}

const SMALLEST_BUFFER = 4096;

function grown(buffer: Buffer, used: number, more: number, limit: number): Buffer {
  const needed = Math.min(used + more, limit);
  if (needed <= buffer.length) return buffer;
  const larger = Buffer.allocUnsafe(Math.min(limit, Math.max(needed, buffer.length * 2, SMALLEST_BUFFER)));
  buffer.copy(larger, 0, 0, used);
  return larger;
}
