import type { Contestant, Outcome } from "./measure/interleave.ts";
import type { Row, SectionResult } from "./measure/result.ts";
import { row } from "./measure/result.ts";

/** What a section works with. */
export interface Bench {
  readonly isQuick: boolean;
  /** A folder of this run, removed at its end; its path is short enough for sockets. */
  readonly scratch: string;
  /** Kept between runs: `$SMOLVM_HOME/cache/bench`. */
  readonly cache: string;
  /** An SSH key of the bench's own, so that every contestant logs in with the same one. */
  readonly keyPath: string;
  /** What runs the guests; null until a section has seen it. */
  accelerator: string | null;
  /** How many rounds: what the command line says, else the section's own number. */
  rounds(usual: number, quick: number): number;
  /** Progress, for whoever watches. */
  say(text: string): void;
  /** Samples all in turn and says how it goes. */
  race(contestants: readonly Contestant[], rounds: number): Promise<Race>;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** Runs only where `--only` names it. */
  readonly isOptional?: boolean;
  run(bench: Bench): Promise<SectionResult>;
}

/** What came of a race, one row for each contestant. */
export class Race {
  readonly #outcomes: ReadonlyMap<string, Outcome>;

  constructor(outcomes: ReadonlyMap<string, Outcome>) {
    this.#outcomes = outcomes;
  }

  row(name: string, unit: Row["unit"] = "ms"): Row {
    const outcome = this.#outcomes.get(name);
    return row(name, unit, outcome?.samples ?? [], outcome ? outcome.failure : "it did not take part");
  }

  samples(name: string): readonly number[] {
    return this.#outcomes.get(name)?.samples ?? [];
  }
}

/** How long `work` takes, in milliseconds. */
export async function timed(work: () => PromiseLike<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
