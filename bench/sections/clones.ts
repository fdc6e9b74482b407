import type { SmolVMOptions } from "smolvm";
import type { Bench, Section } from "../bench.ts";
import { judge, ratioOf, row, type SectionResult } from "../measure/result.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";
import { type PhaseSamples, phaseRows, timeFirstResult } from "./first-result.ts";

const CLONE = "clone, create() to the first result";
const RAW = "the same, first command in a raw shell";
const COLD = "cold start to the first result";

/** A machine from the cached memory snapshot against the same machine booted. */
export const clonesSection: Section = { name: "clones", title: "Clone of a memory snapshot", run: runClones };

/** Many machines wanted at the same moment. */
export const burstSection: Section = {
  name: "burst",
  title: "Burst of machines from one snapshot",
  run: runBurst,
};

async function runClones(bench: Bench): Promise<SectionResult> {
  const phases: PhaseSamples = new Map();
  const options = optionsOf(bench);
  await timeFirstResult(options);
  const race = await bench.race(
    [
      { name: CLONE, perRound: 3, warmups: 0, sample: () => timeFirstResult(options, phases) },
      { name: RAW, warmups: 0, sample: () => timeFirstResult(options, undefined, { shell: "raw" }) },
      { name: COLD, warmups: 0, sample: () => timeFirstResult({ ...options, template: "off" }) },
    ],
    bench.rounds(10, 2),
  );
  const [clone, cold] = [race.row(CLONE), race.row(COLD)];
  const median = clone.summary?.median ?? null;
  const ratio = ratioOf(clone, cold);
  return {
    kind: "measured",
    rows: [clone, ...phaseRows(phases), race.row(RAW), cold],
    targets: [
      judge({ claim: CLONE, bound: "at most", limit: 300, unit: "ms", value: median, issue: 4 }),
      judge({ claim: `${CLONE} ÷ cold`, bound: "at most", limit: 1 / 8, unit: "×", value: ratio, issue: 4 }),
    ],
    costs: cost(
      "A new machine (clone) to the first result",
      "its cold start",
      ratio,
      median === null ? "" : formatQuantity(median, "ms"),
    ),
    notes: [],
  };
}

async function runBurst(bench: Bench): Promise<SectionResult> {
  const size = bench.isQuick ? 4 : 32;
  const options = optionsOf(bench);
  await timeFirstResult(options);
  const each: number[] = [];
  const totals: number[] = [];
  for (let n = 0; n < bench.rounds(1, 1); n++) {
    const startMs = performance.now();
    each.push(...(await Promise.all(Array.from({ length: size }, () => timeFirstResult(options)))));
    totals.push(performance.now() - startMs);
  }
  return {
    kind: "measured",
    rows: [
      row(`${size} machines at once, all used and deleted`, "ms", totals),
      row("  · each, to its first result", "ms", each),
    ],
    targets: [],
    costs: [],
    notes: [],
  };
}

function optionsOf({ keyPath }: Bench): SmolVMOptions {
  return { template: "auto", sshKeyPath: keyPath };
}
