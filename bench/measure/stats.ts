export interface Summary {
  readonly count: number;
  readonly least: number;
  readonly median: number;
  readonly p95: number;
  readonly most: number;
}

/** Null where nothing was measured. */
export function summarize(samples: readonly number[]): Summary | null {
  const sorted = [...samples].sort((a, b) => a - b);
  const [least] = sorted;
  const most = sorted.at(-1);
  if (least === undefined || most === undefined) return null;
  return { count: sorted.length, least, median: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), most };
}

/** Linear between the two nearest samples, as R's type 7 and most spreadsheets do it. `sorted` is ascending and not empty. */
function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}
