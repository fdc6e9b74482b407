import type { Summary } from "./stats.ts";
import { summarize } from "./stats.ts";

export type Unit = "ms" | "MiB" | "MiB/s" | "per second" | "";

/** One line of a section's table. */
export interface Row {
  readonly name: string;
  readonly unit: Unit;
  /** Null: not measured, and `why` says why. */
  readonly summary: Summary | null;
  readonly why: string | null;
  readonly samples: readonly number[];
}

/** A stated aim, and how far it is met. */
export interface Target {
  /** What is compared, as "cold start ÷ debvm". */
  readonly claim: string;
  readonly bound: "at most" | "at least";
  readonly limit: number;
  readonly unit: "×" | "ms";
  /** Null: one of its sides was not measured. */
  readonly value: number | null;
  readonly verdict: "met" | "not met" | "not measured";
  /** The issue that states it. */
  readonly issue: number;
}

/** One line of README's table of costs. */
export interface Cost {
  readonly what: string;
  readonly comparedWith: string;
  readonly ratio: string;
  readonly here: string;
}

export type SectionResult =
  | {
      readonly kind: "measured";
      readonly rows: readonly Row[];
      readonly targets: readonly Target[];
      readonly costs: readonly Cost[];
      readonly notes: readonly string[];
    }
  | { readonly kind: "skipped" | "failed"; readonly reason: string };

export function row(name: string, unit: Unit, samples: readonly number[], why: string | null = null): Row {
  return { name, unit, samples, summary: summarize(samples), why };
}

export function judge(target: Omit<Target, "verdict">): Target {
  const { value, bound, limit } = target;
  if (value === null || !Number.isFinite(value)) return { ...target, value: null, verdict: "not measured" };
  const isMet = bound === "at most" ? value <= limit : value >= limit;
  return { ...target, verdict: isMet ? "met" : "not met" };
}

/** The ratio of the medians; null where a side is missing. */
export function ratioOf(over: Row | undefined, under: Row | undefined): number | null {
  if (!over?.summary || !under?.summary || under.summary.median === 0) return null;
  return over.summary.median / under.summary.median;
}
