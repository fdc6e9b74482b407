import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/cli/command.ts";
import { describeProgress } from "../../src/cli/progress.ts";
import {
  formatBytes,
  formatDuration,
  formatFields,
  formatTable,
  quoteForShell,
  tameLogLine,
} from "../../src/cli/text.ts";
import { parseCount, parseDuration, parseEnv, parseMib } from "../../src/cli/values.ts";

describe("text for people", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [10 * 1024 - 1, "10 KiB"],
    [37.4 * 1024 ** 2, "37 MiB"],
    [4 * 1024 ** 3, "4.0 GiB"],
    [3 * 1024 ** 6, "3145728 TiB"],
  ])("%i bytes are %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, "0s"],
    [59.9, "59s"],
    [60, "1m"],
    [3599, "59m"],
    [3600, "1h 0m"],
    [86_399, "23h 59m"],
    [86_400, "1d 0h"],
    [90_000 * 10, "10d 10h"],
  ])("%f seconds are %s", (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it.each([
    ["plain-1.0/x:y@z,w=%+", "plain-1.0/x:y@z,w=%+"],
    ["", "''"],
    ["two words", "'two words'"],
    ["it's", "'it'\\''s'"],
    ["$HOME`x`\n", "'$HOME`x`\n'"],
    ["é", "'é'"],
    ["~", "'~'"],
    ["it's \u001b[2J\\\n\u009b\u202e", "$'it\\'s \\x1b[2J\\\\\n\\xc2\\x9b\\xe2\\x80\\xae'"],
  ])("a shell is given %j as %s", (text, quoted) => {
    expect(quoteForShell(text)).toBe(quoted);
  });

  it.each([
    ["plain\ttext é", "plain\ttext é"],
    ["\u001b[31mred", "\u001b[31mred\u001b[0m"],
    ["\u001b[1;32mOK\u001b[0m", "\u001b[1;32mOK\u001b[0m\u001b[0m"],
    ["\u001b[2J\u001b]0;title\u0007x\r\u009b1m", "\\x1b[2J\\x1b]0;title\\x07x\\x0d\\x9b1m"],
    ["\u202etxt.exe", "\\u202etxt.exe"],
    ["", ""],
  ])("a guest's line %j is shown as %j", (line, tamed) => {
    expect(tameLogLine(line)).toBe(tamed);
  });

  it("a table's columns are as wide as their widest cell", () => {
    expect(
      formatTable(
        ["A", "LONG"],
        [
          ["xxx", "1"],
          ["y", "22"],
        ],
      ),
    ).toBe("A    LONG\nxxx  1\ny    22");
    expect(formatTable(["A", "B"], [])).toBe("A  B");
  });

  it("fields stand below each other", () => {
    expect(
      formatFields([
        ["a", 1],
        ["long", "x"],
      ]),
    ).toBe("a:    1\nlong: x");
  });

  it("progress counts bytes while downloading, and things elsewhere", () => {
    expect(describeProgress({ phase: "index", message: "Reading the index" })).toBe("Reading the index");
    expect(
      describeProgress({ phase: "download", message: "Downloading", done: 2 ** 20, total: 2 ** 25 }),
    ).toBe("Downloading: 1.0 MiB of 32 MiB");
    expect(describeProgress({ phase: "unpack", message: "Unpacking", done: 3, total: 97 })).toBe(
      "Unpacking: 3 of 97",
    );
    expect(describeProgress({ phase: "download", message: "Downloading", done: 512 })).toBe(
      "Downloading: 512 B",
    );
  });
});

describe("values of flags", () => {
  it.each([
    ["512", 512],
    ["512M", 512],
    ["512MiB", 512],
    ["2g", 2048],
    ["2GB", 2048],
    ["0", 0],
  ])("the size %s is %i MiB", (text, mib) => {
    expect(parseMib(text)).toBe(mib);
  });

  it.each(["", "M", "1.5G", "-1", "1T", "1 G", "0x10", "1e3"])("the size %j is refused", (text) => {
    expect(() => parseMib(text)).toThrow(UsageError);
  });

  it.each(["", "1.5", "-1", "two"])("the count %j is refused", (text) => {
    expect(() => parseCount(text)).toThrow(UsageError);
  });

  it("a timeout without a unit is seconds, and one with a unit is the library's to read", () => {
    expect(["90", "0.5", "5m", "500ms"].map(parseDuration)).toEqual([90, 0.5, "5m", "500ms"]);
  });

  it.each(["", "soon", "0", "0s", "-1", "5 m", "1e3", "86401", "25h", "1d"])(
    "the timeout %j is refused",
    (text) => {
      expect(() => parseDuration(text)).toThrow(UsageError);
    },
  );

  it("a variable's value may hold anything, and may be taken from here", () => {
    expect(parseEnv("A=b=c d\n", undefined)).toEqual({ A: "b=c d\n" });
    expect(parseEnv("B", { A: "1" }, { B: "2" })).toEqual({ A: "1", B: "2" });
    expect(() => parseEnv("B", undefined, {})).toThrow(/B is not set here/);
    expect(() => parseEnv("=x", undefined)).toThrow(UsageError);
  });
});
