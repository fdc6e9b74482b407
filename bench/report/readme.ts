import type { Cost, SectionResult } from "../measure/result.ts";

/** README's table of what it costs: ratios first, since only they carry over to another computer. */
export function formatReadme(results: readonly SectionResult[], host: string): string {
  const costs = results.flatMap((result) => (result.kind === "measured" ? result.costs : []));
  const lines = costs.map(({ what, ratio, comparedWith, here }) => cells(what, ratio, comparedWith, here));
  return [
    cells("", "ratio", "compared with", "here"),
    "|---|---|---|---|",
    ...lines,
    "",
    `Here: ${host}.`,
    "",
  ].join("\n");
}

/** A line for the README, or none where a side was not measured. */
export function cost(
  what: string,
  comparedWith: string,
  ratio: number | null,
  here: string,
): readonly Cost[] {
  return ratio === null ? [] : [{ what, comparedWith, ratio: formatRatio(ratio), here }];
}

/** "2.1 ×", and "1/12" where that says more than "0.08 ×". */
export function formatRatio(ratio: number): string {
  if (ratio <= 0.34) return `1/${Math.round(1 / ratio)}`;
  return `${ratio >= 10 ? Math.round(ratio) : Number(ratio.toPrecision(2))} ×`;
}

function cells(...texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
}
