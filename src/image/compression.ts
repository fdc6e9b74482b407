import { setImmediate as turn } from "node:timers/promises";
import * as zlib from "node:zlib";
import { throwIfAborted } from "../util/bounded.ts";

/** Unpacks a whole xz file; throws on anything damaged or cut short; OperationAbortedError. */
export async function unxz(packed: Uint8Array, signal?: AbortSignal): Promise<Buffer> {
  const { default: xz } = await import("xz-decompress");
  const input = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(packed);
      controller.close();
    },
  });
  const parts: Uint8Array[] = [];
  const reader = new xz.XzReadableStream(input).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    await turn(); // without it this process would hear nothing else for seconds, no signal either
    throwIfAborted("Unpacking", signal);
  }
  return Buffer.concat(parts);
}

/**
 * Unpacks one zstd frame, by Node's own code where this Node has it. The frame need not say its size; knowing
 * `unpackedBytes` spares the other decoder from growing its buffer (measured: 1.4 s instead of 10.6 s for a kernel).
 */
export async function unzstd(packed: Uint8Array, unpackedBytes?: number): Promise<Buffer> {
  const native: unknown = Reflect.get(zlib, "zstdDecompressSync");
  if (typeof native === "function") return native(packed) as Buffer;
  const { decompress } = await import("fzstd");
  const unpacked =
    unpackedBytes === undefined ? decompress(packed) : decompress(packed, new Uint8Array(unpackedBytes));
  return Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
}
