import type { GuardedProcess } from "../host/guarded-process.ts";

const LONGEST_TAIL = 16 * 1024;

/** Keeps the last of what QEMU itself writes; gives back how to read it. */
export function readOutput({ stdout, stderr }: GuardedProcess): () => string {
  let tail = "";
  for (const stream of [stdout, stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      tail = (tail + text).slice(-LONGEST_TAIL);
    });
  }
  return () => tail.trim();
}
