import { describe, expect, it } from "vitest";
import { parseProcFigures, parsePsFigures, readProcessFigures } from "../../../src/host/process-figures.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

/** As Linux 6.1 prints it of a QEMU. */
const STAT =
  "1374 (qemu-system-x86) S 1370 1370 1370 0 -1 4194304 61234 0 12 0 1234 66 0 0 20 0 5 0 500000 1876541440 51234 18446744073709551615 1 1 0 0 0 0 0 4096 17411 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
const UPTIME = "5300.25 9000.00\n";
const FIGURES = { cpuSeconds: 13, ageSeconds: 300.25, residentBytes: 51_234 * 4096, isStopped: false };

describe("the figures in /proc/<pid>/stat", () => {
  it("are processor time, age and memory", () => {
    expect(parseProcFigures(STAT, UPTIME)).toEqual(FIGURES);
  });

  it.each(["a) S 1 2 (b", "", ") Z ", "T 1 2 3", "(((", "two\nlines"])(
    "are found behind the process's name, even (%j)",
    (name) => {
      expect(parseProcFigures(STAT.replace("qemu-system-x86", name), UPTIME)).toEqual(FIGURES);
    },
  );

  it.each([
    ["R", false],
    ["D", false],
    ["I", false],
    ["T", true],
    ["t", true],
  ])("of a process in state %s tell whether a signal has stopped it: %s", (state, isStopped) => {
    expect(parseProcFigures(STAT.replace(") S", `) ${state}`), UPTIME)?.isStopped).toBe(isStopped);
  });

  it.each(["Z", "X", "x", "?"])("are none in state %s: it is dead", (state) => {
    expect(parseProcFigures(STAT.replace(") S", `) ${state}`), UPTIME)).toBeUndefined();
  });

  it("have no more digits than the kernel told", () => {
    expect(parseProcFigures(STAT.replace(" 500000 ", " 501407 "), "5300.08 1.0")?.ageSeconds).toBe(286.01);
  });

  it("never tell of an age below 0, where the clocks were read one after the other", () => {
    expect(parseProcFigures(STAT, "4999.99 1.0")?.ageSeconds).toBe(0);
  });

  it.each([
    ["", UPTIME],
    ["1374 (qemu) S 1", UPTIME],
    [STAT, ""],
    [STAT, "soon"],
    [STAT.replace(" 51234 ", " x "), UPTIME],
  ])("are none where a line is cut or no such line: %j, %j", (stat, uptime) => {
    expect(parseProcFigures(stat, uptime)).toBeUndefined();
  });

  it("are numbers or none, whatever piece is changed", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 2_000; round++) {
      const at = random(STAT.length);
      const put = random(2) === 0 ? "" : String.fromCharCode(random(127));
      const figures = parseProcFigures(STAT.slice(0, at) + put + STAT.slice(at + random(6)), UPTIME);
      for (const value of Object.values(figures ?? {}))
        if (typeof value === "number") expect(value, `seed ${seed}`).toBeGreaterThanOrEqual(0);
    }
  });
});

describe("the figures that ps prints", () => {
  it.each([
    ["S      123456   0:07.25    03:04", 123_456, 7.25, 184],
    ["Ss+       512  12:34:56 1-02:03:04\n", 512, 45_296, 93_784],
    ["R  1 10-00:00:01 365-23:59:59", 1, 864_001, 31_622_399],
  ])("%j", (line, kib, cpuSeconds, ageSeconds) => {
    expect(parsePsFigures(line)).toEqual({
      ...{ residentBytes: kib * 1024, cpuSeconds, ageSeconds, isStopped: false },
    });
  });

  it("tell whether a signal has stopped it", () => {
    expect(parsePsFigures("T+ 1 0:00 0:00")?.isStopped).toBe(true);
  });

  it.each(["", "\n", "Z+ 0 0:00 0:01", "S", "S 12", "S 12 0:01", "S x 0:01 0:01", "S 1 0:0x 0:01"])(
    "are none of a dead process, or where it prints something else: %j",
    (line) => {
      expect(parsePsFigures(line)).toBeUndefined();
    },
  );
});

describe("the figures of a process that lives", () => {
  it("are its own", async () => {
    const figures = await readProcessFigures(process.pid);
    expect(figures?.isStopped).toBe(false);
    expect(figures?.residentBytes).toBeGreaterThan(10 * 1024 * 1024);
    expect(Math.abs((figures?.ageSeconds ?? 0) - process.uptime())).toBeLessThan(2);
    const { user, system } = process.cpuUsage();
    expect(Math.abs((figures?.cpuSeconds ?? 0) - (user + system) / 1e6)).toBeLessThan(2);
  });

  it("are none where there is no such process", async () => {
    expect(await readProcessFigures(2 ** 22 + 1)).toBeUndefined();
  });
});
