import { expect, it } from "vitest";
import { tame, tameJson, tameLine, tameWords } from "../../src/util/tame.ts";
import { chooseSeed, seededRandom } from "../support/random.ts";

it.each([
  ["plain é 漢 😀\n\tend", "plain é 漢 😀\n\tend"],
  ["\u001b[2J\u001b]0;title\u0007", "\\x1b[2J\\x1b]0;title\\x07"],
  ["a\r\nb\rc\0\b\u007f", "a\nb\\x0dc\\x00\\x08\\x7f"],
  ["\u009b31m\u0085\u0080", "\\x9b31m\\x85\\x80"],
  ["\u202egpj.exe\u2066\u2069\u200f\u061c", "\\u202egpj.exe\\u2066\\u2069\\u200f\\u061c"],
  ["a\u2028b\u2029", "a\\u2028b\\u2029"],
])("%j is shown as %j", (text, shown) => {
  expect(tame(text)).toBe(shown);
  expect(JSON.parse(tameJson(JSON.stringify(text)))).toBe(text);
});

it("a line has no end in it, and words of a guest are one bounded line", () => {
  expect(tameLine("NAME\nforged row")).toBe("NAME\\nforged row");
  expect(tameWords("  two\n\n lines\u001b[0m ")).toBe("two lines\\x1b[0m");
  expect(tameWords("x".repeat(10_000_000))).toHaveLength(300);
});

it("nothing that steers a terminal comes through, whatever the text is", () => {
  const seed = chooseSeed();
  const random = seededRandom(seed);
  for (let round = 0; round < 300; round++) {
    const codes = Array.from({ length: 40 }, () => random(round % 2 ? 0x2100 : 0x100));
    const text = String.fromCharCode(...codes);
    for (const shown of [tame(text), tameLine(text), tameWords(text), tameJson(JSON.stringify(text))])
      expect(shown.replaceAll(/[\n\t]/g, ""), `seed ${seed}`).not.toMatch(
        /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u,
      );
  }
});
