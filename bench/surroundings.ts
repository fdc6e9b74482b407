import { rmSync } from "node:fs";
import { access, chmod, mkdir, mkdtemp } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { BenchOptions } from "./arguments.ts";
import { type Bench, Race } from "./bench.ts";
import { interleave } from "./measure/interleave.ts";
import { captureOutput } from "./processes.ts";
import { formatQuantity } from "./report/table.ts";

/** What the sections work with. What is not meant to last is gone when the process ends. */
export async function openBench({ rounds, isQuick }: BenchOptions): Promise<Bench> {
  const cache = join(stateFolder(), "cache", "bench");
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const keyPath = await ensureKey(cache);
  const scratch = await makeScratch();
  const say = (text: string) => void process.stderr.write(`bench: ${text}\n`);
  return {
    isQuick,
    scratch,
    cache,
    keyPath,
    accelerator: null,
    rounds: (usual, quick) => rounds ?? (isQuick ? quick : usual),
    say,
    race: async (contestants, count) =>
      new Race(await interleave(contestants, { rounds: count, ...narrate(say, count) })),
  };
}

/** As the library finds it. */
function stateFolder(): string {
  return process.env.SMOLVM_HOME ? resolve(process.env.SMOLVM_HOME) : join(homedir(), ".smolvm");
}

/** Others may go through it, not look into it: a rival that runs as another user has its own folder there. */
async function makeScratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  await chmod(folder, 0o711);
  return folder;
}

async function ensureKey(cache: string): Promise<string> {
  const path = join(cache, "id_ed25519");
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere)
    await captureOutput(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "smolvm-bench", "-f", path]);
  return path;
}

/** One line for each sample that takes long, so that a slow run is seen to be going on. */
function narrate(say: (text: string) => void, rounds: number) {
  return {
    onSample: ({ name, round, value }: { name: string; round: number; value: number }) => {
      if (value > 1000) say(`  ${name}, round ${round + 1} of ${rounds}: ${formatQuantity(value, "ms")}`);
    },
    onFailure: ({ name, reason }: { name: string; reason: string }) => say(`  ${name}: ${reason}`),
  };
}
