import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { buildImage } from "smolvm";
import type { Bench, Section } from "../bench.ts";
import { type Row, row, type SectionResult } from "../measure/result.ts";

const END = "end";

/** The image from nothing, downloads included: the first thing a new user waits for. */
export const imageSection: Section = {
  name: "image",
  title: 'Image "debian" from an empty state folder',
  isOptional: true,
  run: runImage,
};

async function runImage(bench: Bench): Promise<SectionResult> {
  const totals: number[] = [];
  const phases = new Map<string, number[]>();
  for (let n = 0; n < bench.rounds(1, 1); n++) {
    const home = await mkdtemp(join(bench.scratch, "home-"));
    try {
      totals.push(await withHome(home, () => buildOnce(bench, phases)));
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }
  const rows: Row[] = [row("from nothing to a usable image", "ms", totals)];
  for (const [name, samples] of phases) rows.push(row(`  · ${name}`, "ms", samples));
  return {
    kind: "measured",
    rows,
    targets: [],
    costs: [],
    notes: ["Depends on the mirror and the way to it as much as on this computer."],
  };
}

/** Each phase lasts until the next one reports. */
async function buildOnce(bench: Bench, phases: Map<string, number[]>): Promise<number> {
  const startMs = performance.now();
  const spent = new Map<string, number>();
  let current = { phase: "start", sinceMs: startMs };
  const enter = (phase: string) => {
    const nowMs = performance.now();
    spent.set(current.phase, (spent.get(current.phase) ?? 0) + nowMs - current.sinceMs);
    if (phase !== current.phase && phase !== END) bench.say(`  ${phase}`);
    current = { phase, sinceMs: nowMs };
  };
  await buildImage("debian", { onProgress: ({ phase }) => enter(phase) });
  enter(END);
  for (const [name, ms] of spent) phases.set(name, [...(phases.get(name) ?? []), ms]);
  return performance.now() - startMs;
}

async function withHome<T>(home: string, work: () => Promise<T>): Promise<T> {
  const before = process.env.SMOLVM_HOME;
  process.env.SMOLVM_HOME = home;
  try {
    return await work();
  } finally {
    if (before === undefined) delete process.env.SMOLVM_HOME;
    else process.env.SMOLVM_HOME = before;
  }
}
