import type { GuardedProcess } from "../host/guarded-process.ts";

const LONGEST_TAIL = 16 * 1024;

/** Keeps the last of what QEMU itself writes; gives back how to read it. */
export function readOutput({ stdout, stderr }: GuardedProcess): () => string {
  let tail = "";
  for (const stream of [stdout, stderr]) {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    stream.on("data", (bytes: Buffer) => {
      tail = (tail + decoder.decode(bytes, { stream: true })).slice(-LONGEST_TAIL);
    });
  }
  return () => tail.trim();
}

/** The line that says best what went wrong: an assertion or a hint often follows the error itself. "" where there is none. */
export function tellingLine(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const line = lines.find((each) => /\berror\b/i.test(each)) ?? lines.at(-1) ?? "";
  return withoutProgram(line).trim();
}

/** Without "qemu-system-x86_64: " in front, however the program was called. */
function withoutProgram(line: string): string {
  const end = line.indexOf(": ");
  const program = line.slice(0, Math.max(0, end));
  if (/\s/.test(program) || !/qemu/i.test(program)) return line;
  return line.slice(end + 2).replace(/^error: /i, "");
}

/** A fragment as a sentence's end. */
export function ended(text: string): string {
  return `${text.trim().replace(/\.$/, "")}.`;
}
