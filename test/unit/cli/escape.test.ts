import { describe, expect, it } from "vitest";
import { filterEscapes } from "../../../src/cli/terminal/escape.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

const CONTROL_BRACKET = "\u001d";

function filter(...chunks: (string | Buffer)[]) {
  const take = filterEscapes();
  const filtered = chunks.map((chunk) => take(Buffer.from(chunk as string)));
  const passed = Buffer.concat(filtered.map(({ bytes }) => bytes)).toString();
  return { passed, leaves: filtered.some(({ leaves }) => leaves) };
}

describe("the keys that leave a terminal", () => {
  const cases: readonly (readonly [typed: string, passed: string, leaves: boolean])[] = [
    ["", "", false],
    ["ls -la\r", "ls -la\r", false],
    ["~.", "", true],
    ["ls\r~.", "ls\r", true],
    ["ls\n~.rest", "ls\n", true],
    ["a~.", "a~.", false],
    ["cd ~\r", "cd ~\r", false],
    ["~/bin/x\r", "~/bin/x\r", false],
    ["~~.\r", "~.\r", false],
    ["\r~~\r~~", "\r~\r~", false],
    ["~~~.", "~~.", false],
    ["~\r~.", "~\r", true],
    ["~x~.", "~x~.", false],
    ["~", "", false],
    ["\u0003~.", "\u0003~.", false],
    [CONTROL_BRACKET, "", true],
    [`vi${CONTROL_BRACKET}x`, "vi", true],
    [`\r~${CONTROL_BRACKET}`, "\r", true],
    ["\u001b[12;1R~.", "\u001b[12;1R", true],
    ["\r\u001b[?62;22c\u001b[I~.", "\r\u001b[?62;22c\u001b[I", true],
    ["\u001b[A~.", "\u001b[A~.", false],
    ["\u001bb~.", "\u001bb~.", false],
    ["a\u001b[1;2R~.", "a\u001b[1;2R~.", false],
    ["grüße 世界 \u{1f600}\r~~ü", "grüße 世界 \u{1f600}\r~ü", false],
  ];
  it.each(cases)("%j → the guest gets %j, left: %j", (typed, passed, leaves) => {
    expect(filter(typed)).toEqual({ passed, leaves });
  });

  it.each(cases)("%j comes to the same key by key", (typed, passed, leaves) => {
    expect(filter(...Buffer.from(typed).toString("latin1"))).toEqual({
      passed: Buffer.from(passed, "utf8").toString("latin1"),
      leaves,
    });
  });

  it("are found wherever the input is cut", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const keys = [
      "~",
      "~",
      ".",
      "\r",
      "\n",
      "a",
      "ü",
      "\u0003",
      "~~",
      "\r~~",
      "\u001b",
      "\u001b[",
      "\u001b[1;1R",
    ];
    for (let round = 0; round < 2000; round++) {
      const typed = Array.from({ length: random(30) }, () => keys[random(keys.length)]).join("");
      const whole = filter(typed);
      const cut = filter(...randomChunks(Buffer.from(typed), random, 4));
      expect(cut, `seed ${seed}, ${JSON.stringify(typed)}`).toEqual(whole);
      expect(whole, `seed ${seed}, ${JSON.stringify(typed)}`).toEqual(explain(typed));
    }
  });
});

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: it is terminals' language
/** The same by the words of the documentation, line by line. */
function explain(typed: string): { passed: string; leaves: boolean } {
  let passed = "";
  for (const [line] of typed.matchAll(/[^\r\n]*[\r\n]|[^\r\n]+$/g)) {
    const [reports = ""] = /^(\u001b\[[\d;]*R)*/.exec(line) ?? [];
    const keys = line.slice(reports.length);
    passed += reports;
    if (keys.startsWith("~.")) return { passed, leaves: true };
    const isHeld = keys === "~";
    if (!isHeld) passed += keys.startsWith("~~") ? keys.slice(1) : keys;
  }
  return { passed, leaves: false };
}
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: it is terminals' language
