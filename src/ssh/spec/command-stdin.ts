import type { StdinSource } from "./command-spec.ts";
import type { InputTaker } from "./stdin-source.ts";

/** Gives the command its input and then ends it. Resolves also when the command ends first, for it need not read all. Never rejects. */
export async function feedStdin(stdin: StdinSource, process: InputTaker): Promise<void> {
  if (stdin.kind === "held") return await stdin.source.feed(process);
  if (stdin.bytes.length > 0) await process.writeStdin(stdin.bytes).catch(() => {});
  process.endStdin();
}

/** What breaks its input, before the command begins too, is told to `onBroken`. Returns what lets go of the source. */
export function holdStdin(stdin: StdinSource, onBroken: (error: unknown) => void): () => void {
  if (stdin.kind !== "held") return () => {};
  stdin.source.onBroken(onBroken);
  return () => stdin.source.release();
}
