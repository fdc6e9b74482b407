import { describe, expect, it } from "vitest";
import { runCycles, tenths } from "../../support/cycles.ts";

/** `npm run cycles` has 1,000. */
const CYCLES = Number(process.env.SMOLVM_CYCLES ?? 24);
const PROGRAMS = 4;
/** The last tenth may take so many times what the first one does: anything that piles up would show by far more. */
const MOST_GROWTH = 2;
/** Fewer have no tenths to speak of. */
const LEAST_FOR_TENTHS = 200;
const SLOWEST_MS = 5_000;

describe("machines that are created, used and deleted", () => {
  it(
    `${CYCLES} times by ${PROGRAMS} programs at once all do what they should, leave nothing, and take as long at the end as at the beginning`,
    async () => {
      const beganMs = performance.now();
      const times = await runCycles(CYCLES, PROGRAMS);
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      const medians = tenths(times);
      const growth = (medians.at(-1) ?? Number.NaN) / (medians[0] ?? Number.NaN);
      console.log(
        `${CYCLES} cycles in ${seconds} s, median ms of each tenth: ${medians.join(" ")}; last to first ${growth.toFixed(2)}`,
      );
      expect(times).toHaveLength(CYCLES);
      if (CYCLES >= LEAST_FOR_TENTHS) expect(growth).toBeLessThan(MOST_GROWTH);
    },
    120_000 + CYCLES * SLOWEST_MS,
  );
});
