import { closeSync, fstatSync, renameSync, statSync, writeSync } from "node:fs";
import { isLink } from "../host/no-file.ts";
import { openToAppend, readEnd } from "../host/read-file.ts";

/** Two files of this size are the most that one log takes. */
export const LOG_FILE_BYTES = 1024 * 1024;

/**
 * A log that never grows beyond two files: when one is full it takes the place of the older one. Written at once, so that it is there
 * whoever dies next; that also lets a guest print no faster than the host's disk takes it. A disk that is full loses lines, nothing else.
 */
export class BoundedLog {
  readonly #path: string;
  readonly #olderPath: string;
  #file: number | null = null;
  #bytes = 0;

  constructor(paths: { readonly now: string; readonly older: string }) {
    this.#path = paths.now;
    this.#olderPath = paths.older;
  }

  write(bytes: Uint8Array): void {
    try {
      if (this.#file === null) this.#open();
      if (this.#bytes + bytes.length > LOG_FILE_BYTES && this.#bytes > 0) this.#turnOver();
      const file = this.#file;
      if (file !== null) this.#bytes += writeSync(file, bytes.subarray(-LOG_FILE_BYTES));
    } catch {
      // What can't be logged must not end a machine.
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #open(): void {
    this.#file = openToAppend(this.#path);
    this.#bytes = fstatSync(this.#file).size;
  }

  #turnOver(): void {
    this.close();
    renameSync(this.#path, this.#olderPath);
    this.#open();
  }
}

/** For a log to which another process is about to add: where it is full, a new one is begun. */
export function turnOver({ now, older }: { readonly now: string; readonly older: string }): void {
  const found = isLink(now) ? undefined : statSync(now, { throwIfNoEntry: false });
  if (found && found.size > LOG_FILE_BYTES) renameSync(now, older);
}

const TAIL_BYTES = 8 * 1024;

/** The last of what a log holds; "" where there is none. */
export async function readTail(path: string): Promise<string> {
  return (await readEnd(path, TAIL_BYTES).catch(() => Buffer.alloc(0))).toString("utf8");
}
