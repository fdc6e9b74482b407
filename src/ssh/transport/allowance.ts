/** For the handshake, a greeting, and what a server sends now and then for its own purposes. */
const BASE_BYTES = 128 * 1024;
const BYTES_EACH_SECOND = 1024;
/** What a packet takes beside what it is for; and the server's answer to one of ours. */
const PACKET_BYTES = 512;
/** A channel is confirmed, started, ended, closed. */
const CHANNEL_BYTES = 4096;

/**
 * How much a server may have sent so far. Output is bounded by its channel's window; of everything else a server could send without
 * end, such as requests that we are to refuse, greetings, and data for channels that are not there, there is not much in an honest
 * connection: what has come must have been for something.
 */
export class Allowance {
  readonly #sinceMs = performance.now();
  #bytes = BASE_BYTES;

  /** A piece of output has come. */
  grantOutput(bytes: number): void {
    this.#bytes += bytes + PACKET_BYTES;
  }

  /** Something was sent to a channel: the server may want to say that it takes more. */
  grantAnswer(bytes = 0): void {
    this.#bytes += bytes / 16 + PACKET_BYTES;
  }

  grantChannel(): void {
    this.#bytes += CHANNEL_BYTES;
  }

  isExceededBy(bytesRead: number): boolean {
    const seconds = (performance.now() - this.#sinceMs) / 1000;
    return bytesRead > this.#bytes + seconds * BYTES_EACH_SECOND;
  }
}
