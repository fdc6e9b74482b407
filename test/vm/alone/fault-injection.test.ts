import { describe, expect, it } from "vitest";
import { HOST_FAULTS } from "../../support/fault-plan.ts";
import type { RoundResult } from "../../support/fault-round.ts";
import { findIdle, runFullDiskRounds, runRounds, tally } from "../../support/fault-rounds.ts";

/** `npm run faults` has 500. */
const ROUNDS = Number(process.env.SMOLVM_FAULT_ROUNDS ?? 9);
/** Of each fault of the host one, and more where there are many rounds. */
const HOST_ROUNDS = Number(
  process.env.SMOLVM_HOST_FAULT_ROUNDS ??
    (process.env.SMOLVM_FAULT_ROUNDS === undefined ? HOST_FAULTS.length : Math.ceil(ROUNDS / 2)),
);
const FULL_DISK_ROUNDS = Math.ceil(ROUNDS / 10);
const SEED = Number(process.env.SMOLVM_SEED ?? Date.now() % 1_000_000);
/** As long as a round may take at most on a computer that is busy. */
const SLOWEST_MS = 60_000;

async function measure(what: string, running: Promise<RoundResult[]>): Promise<string[]> {
  const beganMs = performance.now();
  const results = await running;
  const seconds = Math.round((performance.now() - beganMs) / 1000);
  const problems = results.map(({ problem }) => problem).filter((problem) => problem !== null);
  console.log(
    `${what}, seed ${SEED}: ${results.length} rounds in ${seconds} s, ${problems.length} failed: ${tally(results)}`,
  );
  return [...problems, ...findIdle(results).map((fault) => `never hit anything: ${fault}`)];
}

describe("a machine that something happens to at any moment of its life", () => {
  it(
    `leaves nothing, loses nothing, is told right by others, and works again (${ROUNDS} rounds and ${HOST_ROUNDS} of the host, seed ${SEED})`,
    async () => {
      expect(await measure("Faults", runRounds(ROUNDS, HOST_ROUNDS, SEED))).toEqual([]);
    },
    60_000 + (ROUNDS + HOST_ROUNDS) * SLOWEST_MS,
  );

  it(
    `does so where the host's disk is full (${FULL_DISK_ROUNDS} rounds, seed ${SEED})`,
    async () => {
      expect(await measure("Full disk", runFullDiskRounds(FULL_DISK_ROUNDS, SEED))).toEqual([]);
    },
    60_000 + FULL_DISK_ROUNDS * SLOWEST_MS,
  );
});
