const FACTOR = 4;
/** What takes less is taken to take this: of so little time the noise is most. */
const LEAST_MS = 5;
/** A computer that is busy can spoil any measurement, but not the best of many. */
const TRIES = 15;

/** A growth that no quadratic work has. */
export const MOST_GROWTH = 10;

/** What four times as much work takes, in times of what the work takes: some four where it is linear, sixteen where quadratic. */
export function costGrowth(work: (size: number) => void, size: number): number {
  work(size);
  let small = Number.POSITIVE_INFINITY;
  let large = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES; i++) {
    small = Math.min(
      small,
      timeOf(() => work(size)),
    );
    large = Math.min(
      large,
      timeOf(() => work(FACTOR * size)),
    );
    if (i > 2 && large / small < MOST_GROWTH) break;
  }
  return large / small;
}

/** Of this process alone: others may have the processor meanwhile. */
function timeOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return Math.max(LEAST_MS, (user + system) / 1000);
}
