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

  it("is absent for a zombie", () => {
    expect(parseProcStat(`42 (sh) Z ${FIELDS} 123456 0 0`)).toBeUndefined();
  });

  it.each([
    ["a cut line", "42 (sh) S 1 77"],
    ["nothing", ""],
    ["something else", "no such thing"],
  ])("can't be told from %s, which is no proof that there is none", (_, line) => {
    expect(() => parseProcStat(line)).toThrow("can't be understood");
  });
});

describe("the start time that ps tells", () => {
  it("is read behind the state, whatever the spaces", () => {
    expect(parsePsLine("Ss   Mon Nov  3 10:11:12 2025\n")).toBe("Mon Nov 3 10:11:12 2025");
  });

  it("is absent for a zombie", () => {
    expect(parsePsLine("Z+   Mon Nov  3 10:11:12 2025")).toBeUndefined();
  });

  it.each(["", "Ss"])("can't be told from %j, which is no proof that there is none", (line) => {
    expect(() => parsePsLine(line)).toThrow("ps said");
  });
});
