import { describe, expect, it } from "vitest";
import { parseProcStat, parsePsLine } from "../../../src/host/process-identity.ts";

const FIELDS = "1 77 77 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0";

describe("the start time in /proc/<pid>/stat", () => {
  it.each([
    ["an ordinary name", `42 (sh) S ${FIELDS} 123456 0 0`, "123456"],
    ["a name with brackets and spaces", `42 (a) R (b c) S ${FIELDS} 99 0 0`, "99"],
    ["a name that looks like a zombie", `42 (x) Z 1) S ${FIELDS} 7 0`, "7"],
  ])("is found behind %s", (_, line, expected) => {
    expect(parseProcStat(line)).toBe(expected);
  });

  it.each([
    ["a zombie", `42 (sh) Z ${FIELDS} 123456 0 0`],
    ["a cut line", "42 (sh) S 1 77"],
    ["nothing", ""],
    ["something else", "no such thing"],
  ])("is absent for %s", (_, line) => {
    expect(parseProcStat(line)).toBeUndefined();
  });
});

describe("the start time that ps tells", () => {
  it("is read behind the state, whatever the spaces", () => {
    expect(parsePsLine("Ss   Mon Nov  3 10:11:12 2025\n")).toBe("Mon Nov 3 10:11:12 2025");
  });

  it.each(["Z+   Mon Nov  3 10:11:12 2025", "", "Ss"])("is absent in %j", (line) => {
    expect(parsePsLine(line)).toBeUndefined();
  });
});
