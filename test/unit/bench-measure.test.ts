import { describe, expect, it } from "vitest";
import { type Contestant, interleave } from "../../bench/measure/interleave.ts";
import { judge, ratioOf, row } from "../../bench/measure/result.ts";
import { parsePssMib } from "../../bench/measure/smaps.ts";
import { summarize } from "../../bench/measure/stats.ts";
import { chooseSeed, seededRandom } from "../support/random.ts";

describe("a summary of samples", () => {
  it.each([
    [[7], { count: 1, least: 7, median: 7, p95: 7, most: 7 }],
    [[3, 1, 2], { count: 3, least: 1, median: 2, p95: 2.9, most: 3 }],
    [[4, 1, 3, 2], { count: 4, least: 1, median: 2.5, p95: 3.85, most: 4 }],
    [
      Array.from({ length: 101 }, (_, n) => 100 - n),
      { count: 101, least: 0, median: 50, p95: 95, most: 100 },
    ],
  ])("of %j", (samples, expected) => {
    const summary = summarize(samples);
    for (const [name, value] of Object.entries(expected))
      expect(summary).toHaveProperty(name, expect.closeTo(value, 9));
  });

  it("of nothing is none", () => {
    expect(summarize([])).toBeNull();
  });

  it("leaves the samples in their order", () => {
    const samples = [3, 1, 2];
    summarize(samples);
    expect(samples).toEqual([3, 1, 2]);
  });

  it("orders what it tells, whatever the samples", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let n = 0; n < 300; n++) {
      const samples = Array.from({ length: 1 + random(40) }, () => random(1000) / 7);
      const summary = summarize(samples);
      if (!summary) throw new Error(`no summary, seed ${seed}`);
      const { least, median, p95, most } = summary;
      expect([least, median, p95, most], `seed ${seed}`).toEqual(
        [least, median, p95, most].sort((a, b) => a - b),
      );
      expect([least, most], `seed ${seed}`).toEqual([Math.min(...samples), Math.max(...samples)]);
    }
  });
});

describe("contestants", () => {
  /** Notes the order in which the contestants were sampled. */
  function contestant(log: string[], name: string, options: Partial<Contestant> = {}): Contestant {
    return { name, warmups: 0, sample: async () => log.push(name), ...options };
  }

  it("take turns, and each round begins with another one", async () => {
    const log: string[] = [];
    await interleave([contestant(log, "A"), contestant(log, "B"), contestant(log, "C")], { rounds: 3 });
    expect(log.join("")).toBe("ABCBCACAB");
  });

  it("keep what each round gave, but not the warm-up", async () => {
    let n = 0;
    const outcomes = await interleave([{ name: "A", warmups: 2, perRound: 2, sample: async () => n++ }], {
      rounds: 2,
    });
    expect(outcomes.get("A")).toEqual({ name: "A", samples: [2, 3, 4, 5], failure: null });
  });

  it("that are slow may sit out rounds", async () => {
    const log: string[] = [];
    await interleave([contestant(log, "A"), contestant(log, "S", { everyRounds: 3 })], { rounds: 4 });
    expect(log.filter((name) => name === "S")).toHaveLength(2);
    expect(log.filter((name) => name === "A")).toHaveLength(4);
  });

  it("that fail are out, with the reason; the others go on", async () => {
    const failures: unknown[] = [];
    let left = 2;
    const breaks = async () => {
      if (left-- === 0) throw new Error("it broke");
      return 1;
    };
    const outcomes = await interleave(
      [{ name: "A", warmups: 0, perRound: 3, sample: breaks }, contestant([], "B")],
      {
        rounds: 4,
        onFailure: (failed) => failures.push(failed),
      },
    );
    expect(outcomes.get("A")).toEqual({ name: "A", samples: [1, 1], failure: "it broke" });
    expect(outcomes.get("B")?.samples).toHaveLength(4);
    expect(failures).toEqual([{ name: "A", reason: "it broke" }]);
  });

  it("that fail while warming up have no samples", async () => {
    const fails = async () => Promise.reject(new Error("not here"));
    const outcomes = await interleave([{ name: "A", sample: fails }], { rounds: 3 });
    expect(outcomes.get("A")).toEqual({ name: "A", samples: [], failure: "not here" });
  });
});

describe("a stated aim", () => {
  const target = { claim: "a ÷ b", unit: "×", issue: 2 } as const;

  it.each([
    ["at most", 1.25, 1.25, "met"],
    ["at most", 1.25, 1.26, "not met"],
    ["at least", 8, 8, "met"],
    ["at least", 8, 7.9, "not met"],
    ["at most", 1.25, null, "not measured"],
    ["at least", 8, Number.NaN, "not measured"],
  ] as const)("%s %d with %j is %s", (bound, limit, value, verdict) => {
    expect(judge({ ...target, bound, limit, value }).verdict).toBe(verdict);
  });

  it("compares medians, and nothing where a side is missing", () => {
    const [slow, fast, none] = [
      row("a", "ms", [30, 10, 20]),
      row("b", "ms", [5, 4, 90]),
      row("c", "ms", [], "no tool"),
    ];
    expect(ratioOf(slow, fast)).toBe(4);
    expect(ratioOf(slow, none)).toBeNull();
    expect(ratioOf(none, slow)).toBeNull();
    expect(ratioOf(slow, row("d", "ms", [0]))).toBeNull();
    expect(ratioOf(undefined, slow)).toBeNull();
  });
});

describe("the proportional set size", () => {
  it("is the Pss line, not one of its parts", () => {
    const text =
      "7f00-7fff ---p 00000000 00:00 0 [rollup]\nRss:    9000 kB\nPss:    2048 kB\nPss_Anon:  1024 kB\n";
    expect(parsePssMib(text)).toBe(2);
  });

  it("is never guessed from something else", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const words = ["Pss", ":", " ", "12", "kB", "\n", "Pss_Anon: 4 kB", "Rss: 5 kB", "\0", "é"];
    for (let n = 0; n < 300; n++) {
      const text = Array.from({ length: random(12) }, () => words[random(words.length)]).join("");
      const hasLine = text.split("\n").some((line) => /^Pss:\s+\d+ kB$/.test(line));
      if (hasLine) expect(parsePssMib(text), `seed ${seed}`).toBeGreaterThan(0);
      else expect(() => parsePssMib(text), `seed ${seed}`).toThrow("no Pss line");
    }
  });
});
