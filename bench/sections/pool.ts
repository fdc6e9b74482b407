import { setTimeout as sleep } from "node:timers/promises";
import { SmolVMPool } from "smolvm";
import type { Bench, Section } from "../bench.ts";
import { judge, type SectionResult } from "../measure/result.ts";

const SIZE = 4;
const ACQUIRE = "acquire() to the first result";
/** Enough for the pool to have refilled, off the clock: what is measured is a pool that is ready. */
const REFILL_MS = 1500;

/** A machine from a pool that has it ready. */
export const poolSection: Section = { name: "pool", title: `Pool of ${SIZE}`, run: runPool };

async function runPool(bench: Bench): Promise<SectionResult> {
  const pool = new SmolVMPool({ size: SIZE, sshKeyPath: bench.keyPath });
  try {
    const race = await bench.race(
      [{ name: ACQUIRE, warmups: 2, sample: () => timeAcquire(pool) }],
      bench.rounds(20, 3),
    );
    const acquire = race.row(ACQUIRE);
    const value = acquire.summary?.median ?? null;
    return {
      kind: "measured",
      rows: [acquire],
      targets: [judge({ claim: ACQUIRE, bound: "at most", limit: 25, unit: "ms", value, issue: 4 })],
      costs: [],
      notes: [`One machine each ${REFILL_MS} ms, so that the pool is full when it is asked.`],
    };
  } finally {
    await pool.close();
  }
}

async function timeAcquire(pool: SmolVMPool): Promise<number> {
  await sleep(REFILL_MS);
  const startMs = performance.now();
  const vm = await pool.acquire();
  try {
    await vm.run("true", { shell: "raw", check: true });
    return performance.now() - startMs;
  } finally {
    await vm.delete();
  }
}
