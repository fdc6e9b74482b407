import { describe, expect, it } from "vitest";
import { ValidationError } from "../../src/errors.ts";
import { parseDurationMs } from "../../src/util/duration.ts";

describe("parseDurationMs", () => {
  it.each([
    [1, 1000],
    [0.25, 250],
    [86_400, 86_400_000],
    ["500ms", 500],
    ["30s", 30_000],
    ["1.5s", 1500],
    ["5m", 300_000],
    ["24h", 86_400_000],
  ])("reads %j as %d ms", (given, ms) => {
    expect(parseDurationMs(given, "timeout")).toBe(ms);
  });

  it.each([
    0,
    -1,
    Number.NaN,
    Infinity,
    -Infinity,
    "",
    "30",
    "s",
    "-1s",
    "1e3s",
    " 1s",
    "1 s",
    "0s",
    "25h",
    null,
    undefined,
    {},
    true,
  ])("refuses %j by name", (given) => {
    expect(() => parseDurationMs(given, "timeout")).toThrow(ValidationError);
    expect(() => parseDurationMs(given, "timeout")).toThrow(/^timeout /);
    if (given !== Infinity)
      expect(() => parseDurationMs(given, "timeout")).toThrow('"500ms", "30s", "5m" or "2h"');
  });

  it("guesses that milliseconds were meant", () => {
    expect(() => parseDurationMs(100_000, "timeout")).toThrow("timeout is in seconds; did you mean 100?");
  });
});
