import type { Row, SectionResult, Target } from "../measure/result.ts";

/** A section as it is printed: the table of what was measured, the aims, the notes. */
export function formatSection(title: string, result: SectionResult): string {
  const heading = `${title}\n${"-".repeat(title.length)}`;
  if (result.kind !== "measured") return `${heading}\n${result.kind}: ${result.reason}\n`;
  const parts = [heading, formatTable(["", "median", "p95", "n"], result.rows.map(cellsOf))];
  if (result.targets.length > 0) parts.push("", ...result.targets.map(formatTarget));
  if (result.notes.length > 0) parts.push("", ...result.notes.map((note) => `  ${note}`));
  return `${parts.join("\n")}\n`;
}

/** All stated aims together: what somebody reads who reads one thing. */
export function formatVerdicts(results: readonly SectionResult[]): string {
  const targets = results.flatMap((result) => (result.kind === "measured" ? result.targets : []));
  if (targets.length === 0) return "\n";
  const title = "Stated aims";
  return `\n${title}\n${"-".repeat(title.length)}\n${targets.map(formatTarget).join("\n")}\n\n`;
}

/** The first column to the left, the others to the right. */
export function formatTable(header: readonly string[], lines: readonly (readonly string[])[]): string {
  const all = [header, ...lines];
  const widths = header.map((_, column) => Math.max(...all.map((line) => width(line[column] ?? ""))));
  const pad = (cell: string, column: number) => {
    const blank = " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
    return column === 0 ? cell + blank : blank + cell;
  };
  return all.map((line) => `  ${line.map(pad).join("  ")}`.trimEnd()).join("\n");
}

function formatTarget({ claim, value, bound, limit, unit, verdict, issue }: Target): string {
  const seen = value === null ? "" : `: ${formatQuantity(value, unit)}`;
  return `  [${verdict}] ${claim}${seen}  (${bound} ${formatQuantity(limit, unit)}, issue ${issue})`;
}

/** Three significant digits are more than these measurements can stand for. */
export function formatQuantity(value: number, unit: string): string {
  if (unit === "ms" && Math.abs(value) >= 10_000) return formatQuantity(value / 1000, "s");
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const gap = unit === "" || unit === "×" ? "" : " ";
  return `${value.toFixed(digits)}${gap}${unit}`;
}

function cellsOf({ name, unit, summary, why }: Row): readonly string[] {
  if (!summary) return [name, "not measured", why ?? "", ""];
  const cells = [
    name,
    formatQuantity(summary.median, unit),
    formatQuantity(summary.p95, unit),
    String(summary.count),
  ];
  return why === null ? cells : [...cells.slice(0, 3), `${summary.count} (${why})`];
}

function width(text: string): number {
  return [...text].length;
}
