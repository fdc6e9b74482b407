/** One way of doing the job, which is sampled side by side with the others. */
export interface Contestant {
  readonly name: string;
  /** Does the job once and tells what it cost, usually in milliseconds. Throwing takes this contestant out of the run. */
  readonly sample: () => Promise<number>;
  /** Samples in a row in each round: 1 by default. */
  readonly perRound?: number;
  /** Takes part in the first round and every so many: 1 by default. */
  readonly everyRounds?: number;
  /** Samples thrown away before the first round: 1 by default. */
  readonly warmups?: number;
}

export interface Outcome {
  readonly name: string;
  readonly samples: readonly number[];
  /** Why it has no samples, or no more. Null: it went through. */
  readonly failure: string | null;
}

export interface Interleaving {
  readonly rounds: number;
  readonly onSample?: (sample: { name: string; round: number; value: number }) => void;
  readonly onFailure?: (failed: { name: string; reason: string }) => void;
}

/**
 * Samples all in turn, A B C, then B C A, …, so that what else the computer does in the meantime falls on all alike and none
 * always runs just after the same other one.
 */
export async function interleave(
  contestants: readonly Contestant[],
  { rounds, onSample, onFailure }: Interleaving,
): Promise<Map<string, Outcome>> {
  const lanes = contestants.map((contestant) => ({
    contestant,
    samples: [] as number[],
    failure: null as string | null,
  }));
  const take = async (lane: (typeof lanes)[number], round: number | null): Promise<void> => {
    try {
      const value = await lane.contestant.sample();
      if (round === null) return;
      lane.samples.push(value);
      onSample?.({ name: lane.contestant.name, round, value });
    } catch (error) {
      lane.failure = error instanceof Error ? error.message : String(error);
      onFailure?.({ name: lane.contestant.name, reason: lane.failure });
    }
  };

  for (const lane of lanes) {
    await repeat(lane.contestant.warmups ?? 1, lane, () => take(lane, null));
  }
  for (let round = 0; round < rounds; round++) {
    for (const lane of rotate(lanes, round)) {
      if (round % (lane.contestant.everyRounds ?? 1) !== 0) continue;
      await repeat(lane.contestant.perRound ?? 1, lane, () => take(lane, round));
    }
  }
  return new Map(
    lanes.map(({ contestant: { name }, samples, failure }) => [name, { name, samples, failure }]),
  );
}

async function repeat(
  times: number,
  lane: { failure: string | null },
  work: () => Promise<void>,
): Promise<void> {
  for (let n = 0; n < times && lane.failure === null; n++) await work();
}

function rotate<T>(list: readonly T[], by: number): readonly T[] {
  const start = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}
