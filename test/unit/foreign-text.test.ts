import { describe, expect, it } from "vitest";
import { watchScreen } from "../../src/cli/terminal/screen.ts";
import { findDebianSources } from "../../src/image/apt-sources.ts";
import { parseDependencies } from "../../src/image/dependency.ts";
import { indexPackages } from "../../src/image/packages.ts";
import { parseGuestMessage } from "../../src/qemu/console-words.ts";
import { tellingLine } from "../../src/qemu/output.ts";
import { parseQmpMessage } from "../../src/qemu/qmp/messages.ts";
import { parseConnections, parseUsernet } from "../../src/qemu/usernet.ts";
import { decodeVariables, encodeVariables } from "../../src/sandbox/command/environment-file.ts";
import { LineReader } from "../../src/sandbox/watch/line-reader.ts";
import { parseDeb822 } from "../../src/util/deb822.ts";
import { parseForeignNumber } from "../../src/util/foreign-number.ts";
import { costGrowth, MOST_GROWTH } from "../support/cost.ts";

const quietly =
  (parse: (text: string) => unknown) =>
  (text: string): void => {
    try {
      parse(text);
    } catch {
      // That it is refused is another test's matter.
    }
  };
const screen = (text: string) => watchScreen().take(Buffer.from(text));
const tools = {
  message: parseGuestMessage,
  line: (text: string) => new LineReader().take(Buffer.from(text)),
};
const HEADING = encodeVariables({});

/** A parser, and what its text is made of: a beginning, what comes again and again, and an end that makes the whole of no use. */
const PARSERS: readonly [string, (text: string) => unknown, string, string, string][] = [
  ["a console's line of reasons", tools.message, "", "smolvm: failed:", "\u2028x"],
  ["a console's line of progress", tools.message, "", "smolvm: progress ", "\u2028x"],
  ["a console's line of words", tools.message, "", "smolvm: ready", "x"],
  ["a console's line of digits", tools.message, "smolvm: identity ", "1", "x"],
  ["a console's line of blanks", tools.message, "", " ", "x"],
  ["a log's line of carriage returns", tools.line, "", "\r", "x\n"],
  ["QEMU's last line", tellingLine, "", "qemu", "x"],
  ["QEMU's last line with blanks", tellingLine, "qemu: ", " ", "x"],
  ["QEMU's forwards, of empty lines", parseUsernet, "", "\n", "x"],
  ["QEMU's forwards, of beginnings", parseUsernet, "", "TCP[HOST_FORWARD] 1 a ", "x"],
  ["QEMU's connections, of empty lines", parseConnections, "", " \n", "x"],
  ["a message of QMP", parseQmpMessage, '{"event":"', "\\u0000", '"}'],
  ["Debian's fields", parseDeb822, "a: b\n", " c\n", "x"],
  ["Debian's fields, of blanks", parseDeb822, "a:", " ", "x"],
  ["an index of packages", indexPackages, "Package: a\nVersion: 1\nProvides: ", "b, ", "\n"],
  ["dependencies, of blanks", parseDependencies, "a", " ", "x"],
  ["dependencies, of alternatives", parseDependencies, "a", "|a", "|?"],
  ["sources of APT, of blanks", (text) => findDebianSources([{ name: "a.list", text }]), "deb", " ", "x"],
  [
    "sources of APT, of slashes",
    (text) => findDebianSources([{ name: "a.list", text }]),
    "deb http://a",
    "/",
    "x b c",
  ],
  ["variables", decodeVariables, `${HEADING}export A='`, "'\\''", "x"],
  ["what a terminal shows", screen, "", "\u001b[", "x"],
  ["what a terminal shows, of parameters", screen, "\u001b[", "1;", "x"],
];

describe("text that somebody else wrote", () => {
  it.each(PARSERS)("costs in proportion to its length: %s", (_, parse, start, unit, end) => {
    const work = (size: number) => quietly(parse)(start + unit.repeat(Math.ceil(size / unit.length)) + end);
    expect(costGrowth(work, 16_000)).toBeLessThan(MOST_GROWTH);
  });
});

describe("a number that somebody else wrote", () => {
  it.each<[string | undefined, number | null]>([
    ["0", 0],
    ["255", 255],
    ["007", 7],
    ["256", null],
    ["-1", null],
    ["1e2", null],
    ["0x10", null],
    [" 1", null],
    ["", null],
    ["NaN", null],
    ["Infinity", null],
    ["9".repeat(400), null],
    [undefined, null],
  ])("%j is %j where 0 to 255 is asked for", (text, expected) => {
    expect(parseForeignNumber(text, 0, 255)).toBe(expected);
  });
});
