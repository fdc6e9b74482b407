const HEADER_BYTES = 5;
const LENGTH_AT = 1;
const SMALLEST_BUFFER = 4096;
/** Up to so many, pieces stay as they came; what comes after them is joined to the last one of its kind. */
const MOST_APART = 256;
const LONGEST_JOINED = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/**
 * Pieces of bytes, each of a kind from 0 to 255, that wait for their reader in one buffer: as objects, pieces of one byte would take
 * two hundred times what is in them, and who writes them chooses their size.
 */
export class PieceQueue {
  #buffer: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  #lastAt = 0;
  #count = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** How much waits, the pieces' heads not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  push(kind: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#count >= MOST_APART && this.#join(kind, bytes)) return;
    this.#makeRoom(HEADER_BYTES + bytes.length);
    this.#lastAt = this.#end;
    this.#buffer[this.#end] = kind;
    this.#buffer.writeUInt32LE(bytes.length, this.#end + LENGTH_AT);
    this.#end += HEADER_BYTES;
    this.#count++;
    this.#append(bytes);
  }

  /** The oldest, as a copy. */
  shift(): { readonly kind: number; readonly bytes: Uint8Array<ArrayBuffer> } | null {
    if (this.#count === 0) return null;
    const kind = this.#buffer[this.#start] ?? 0;
    const length = this.#buffer.readUInt32LE(this.#start + LENGTH_AT);
    const from = this.#start + HEADER_BYTES;
    const bytes = new Uint8Array(this.#buffer.subarray(from, from + length));
    this.#start = from + length;
    this.#count--;
    this.#bytes -= length;
    if (this.#count === 0) this.clear();
    return { kind, bytes };
  }

  clear(): void {
    this.#start = this.#end = this.#count = this.#bytes = 0;
    if (this.#buffer.length > LONGEST_JOINED) this.#buffer = NOTHING;
  }

  #join(kind: number, bytes: Uint8Array): boolean {
    const length = this.#buffer.readUInt32LE(this.#lastAt + LENGTH_AT) + bytes.length;
    if (this.#buffer[this.#lastAt] !== kind || length > LONGEST_JOINED) return false;
    this.#makeRoom(bytes.length);
    this.#buffer.writeUInt32LE(length, this.#lastAt + LENGTH_AT);
    this.#append(bytes);
    return true;
  }

  #append(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
    this.#bytes += bytes.length;
  }

  /** Moves what waits to the front, of a larger buffer where it would fill more than half of this one. */
  #makeRoom(more: number): void {
    if (this.#end + more <= this.#buffer.length) return;
    const needed = this.#end - this.#start + more;
    const isTight = 2 * needed > this.#buffer.length;
    const target = isTight ? Buffer.allocUnsafeSlow(Math.max(2 * needed, SMALLEST_BUFFER)) : this.#buffer;
    this.#buffer.copy(target, 0, this.#start, this.#end);
    this.#lastAt -= this.#start;
    this.#end -= this.#start;
    this.#start = 0;
    this.#buffer = target;
  }
}
