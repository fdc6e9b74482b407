import { describe, expect, it } from "vitest";
import { HOST_FAULTS, type Plan, planHostFault, planRound } from "../support/fault-plan.ts";
import type { RoundResult } from "../support/fault-round.ts";
import { findIdle } from "../support/fault-rounds.ts";
import { seededRandom } from "../support/random.ts";

const plan: Plan = { ...planRound(seededRandom(1), 0), fault: "kill QEMU" };
const results = (fault: Plan["fault"], hits: number, rounds: number): RoundResult[] =>
  Array.from({ length: rounds }, (_, index) => ({
    ...{ plan: { ...plan, fault }, didHit: index < hits, outcome: "value", problem: null },
  }));

describe("rounds of faults", () => {
  it.each([0, 9, 10])(
    "have each fault of the host once in its turn, whichever round that begins in (%i)",
    (first) => {
      const faults = HOST_FAULTS.map(
        (_, turn) => planHostFault(seededRandom(7), first + turn, turn, 3_000).fault,
      );
      expect(faults).toEqual(HOST_FAULTS);
    },
  );

  it("that have hit nothing show nothing: a fault that came often, or all together", () => {
    const often = [...results("kill QEMU", 0, 10), ...results("clock jumps", 1, 10)];
    expect(findIdle(often)).toEqual(["kill QEMU"]);
    expect(findIdle(results("slow QMP", 0, 10))).toEqual(["slow QMP"]);
    const few = [...results("kill QEMU", 0, 4), ...results("kill guardian", 0, 5)];
    expect(findIdle([...few, ...results("second image", 6, 6)])).toEqual([expect.stringContaining("all")]);
    expect(findIdle([...few, ...results("clock jumps", 1, 1)])).toEqual([]);
    expect(findIdle(results("kill QEMU", 0, 2))).toEqual([]);
  });
});
