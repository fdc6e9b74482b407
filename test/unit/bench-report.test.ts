import { describe, expect, it } from "vitest";
import { parseArguments, UsageError } from "../../bench/arguments.ts";
import { judge, row, type SectionResult } from "../../bench/measure/result.ts";
import { formatHost } from "../../bench/report/host.ts";
import { cost, formatRatio, formatReadme } from "../../bench/report/readme.ts";
import { formatQuantity, formatSection, formatTable, formatVerdicts } from "../../bench/report/table.ts";

const aim = judge({ claim: "ours ÷ theirs", bound: "at most", limit: 0.75, unit: "×", value: 0.5, issue: 2 });
const measured: SectionResult = {
  kind: "measured",
  rows: [
    row("ours", "ms", [10, 11, 12]),
    row("theirs", "ms", [], "it is not installed"),
    row("half", "ms", [5], "it broke"),
  ],
  targets: [aim],
  costs: cost("A command", "`theirs` | others", 0.5, "11 ms"),
  notes: ["All in turn."],
};

describe("a section's report", () => {
  it("has a line for each contestant, the verdicts and the notes", () => {
    expect(formatSection("Commands", measured)).toBe(
      [
        "Commands",
        "--------",
        "                median                  p95             n",
        "  ours         11.0 ms              11.9 ms             3",
        "  theirs  not measured  it is not installed",
        "  half         5.00 ms              5.00 ms  1 (it broke)",
        "",
        "  [met] ours ÷ theirs: 0.50×  (at most 0.75×, issue 2)",
        "",
        "  All in turn.",
        "",
      ].join("\n"),
    );
  });

  it("says why there is none", () => {
    expect(formatSection("Pool", { kind: "skipped", reason: "no pool yet." })).toBe(
      "Pool\n----\nskipped: no pool yet.\n",
    );
  });

  it("ends with all verdicts together", () => {
    const missed = judge({ ...aim, value: null });
    const text = formatVerdicts([
      measured,
      { kind: "failed", reason: "x" },
      { ...measured, targets: [missed] },
    ]);
    expect(text.match(/\[(.*?)\]/g)).toEqual(["[met]", "[not measured]"]);
  });

  it("lines up columns by what is seen, not by UTF-16 units", () => {
    expect(
      formatTable(
        ["", "x"],
        [
          ["𝔸÷", "1"],
          ["ab", "22"],
        ],
      ),
    ).toBe("       x\n  𝔸÷   1\n  ab  22");
  });

  it.each([
    [1234.5, "ms", "1235 ms"],
    [12.34, "ms", "12.3 ms"],
    [86_744, "ms", "86.7 s"],
    [1.234, "×", "1.23×"],
    [0.004, "", "0.00"],
  ])("writes %d as a quantity in %j", (value, unit, text) => {
    expect(formatQuantity(value, unit)).toBe(text);
  });
});

describe("the README's table", () => {
  it("names ratios first and leaves out what was not measured", () => {
    const unmeasured = { ...measured, costs: cost("A clone", "a cold start", null, "") };
    const text = formatReadme([measured, unmeasured, { kind: "skipped", reason: "x" }], "2 CPUs");
    expect(text.split("\n")).toEqual([
      "|  | ratio | compared with | here |",
      "|---|---|---|---|",
      "| A command | 0.5 × | `theirs` \\| others | 11 ms |",
      "",
      "Here: 2 CPUs.",
      "",
    ]);
  });

  it.each([
    [0.083, "1/12"],
    [1 / 3, "1/3"],
    [0.4, "0.4 ×"],
    [1.049, "1 ×"],
    [1.26, "1.3 ×"],
    [12.6, "13 ×"],
  ])("writes %d as %s", (ratio, text) => {
    expect(formatRatio(ratio)).toBe(text);
  });

  it("says what the figures were measured on", () => {
    const host = {
      cpu: "X",
      cpus: 2,
      memoryMib: 1,
      kernel: "6",
      node: "v20.1.0",
      qemu: "7.2.1",
      openssh: "O",
      loadBefore: 0,
    };
    expect(formatHost(host, "tcg")).toBe("2 × X, QEMU 7.2.1, pure emulation (TCG), Node 20.1.0");
    expect(formatHost(host, null)).toBe("2 × X, QEMU 7.2.1, Node 20.1.0");
  });
});

describe("the bench's arguments", () => {
  const sections = [{ name: "image", isOptional: true }, { name: "boot" }, { name: "cli" }];
  const parse = (...argv: string[]) => parseArguments(argv, sections);

  it("are all optional; a section that takes long has to be named", () => {
    expect(parse()).toEqual({
      only: ["boot", "cli"],
      rounds: null,
      isQuick: false,
      showsReadme: false,
      isCheck: false,
    });
  });

  it("choose sections in the order they run in", () => {
    expect(parse("--only", "cli,image", "--rounds", "3", "--quick", "--readme", "--check")).toEqual({
      only: ["image", "cli"],
      rounds: 3,
      isQuick: true,
      showsReadme: true,
      isCheck: true,
    });
    expect(parse("--only=boot", "--only", " cli")).toMatchObject({ only: ["boot", "cli"] });
  });

  it("ask for help in any company", () => {
    expect(parse("--help")).toBe("help");
    expect(parse("-h", "--quick")).toBe("help");
  });

  it.each([
    [["--only", "bot"], /no section "bot"; there are image, boot, cli/],
    [["--only", ""], /no section ""/],
    [["--rounds", "0"], /whole number from 1, not "0"/],
    [["--rounds", "2.5"], /whole number/],
    [["--fast"], /--fast/],
    [["boot"], /boot/],
  ])("%j is refused", (argv, message) => {
    expect(() => parseArguments(argv, sections)).toThrow(UsageError);
    expect(() => parseArguments(argv, sections)).toThrow(message);
  });
});
