import { describe, expect, it } from "vitest";
import { watchScreen } from "../../../src/cli/terminal/screen.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

function left(...chunks: (string | Buffer)[]): string {
  const screen = watchScreen();
  for (const chunk of chunks) screen.take(Buffer.from(chunk as string));
  return screen.restore();
}

describe("a screen that the guest left in disorder", () => {
  const cases: readonly (readonly [printed: string, restored: string])[] = [
    ["", ""],
    ["text\r\n", ""],
    ["prompt# ", "\r\n"],
    ["\u001b[?1049h\u001b[?25l\n", "\u001b[?1049l\u001b[?25h"],
    ["\u001b[?1049h\u001b[?1049l\n", ""],
    ["\u001b[?1000;1006h\n", "\u001b[?1000l\u001b[?1006l"],
    ["\u001b[?25l\u001b[?25h\n", ""],
    ["\u001b[?2004h$ \n", "\u001b[?2004l"],
    ["\u001b[31mred\n", "\u001b[0m"],
    ["\u001b[1;31mred\u001b[0m\n", ""],
    ["\u001b[31mred\u001b[m\n", ""],
    ["\u001b[?1049h\u001b[31m\u001bc\n", ""],
    ["\u001b[?7l\u001b[?12h\u001b[2J\n", ""],
  ];
  it.each(cases)("%j is put back by %j", (printed, restored) => {
    expect(left(printed)).toBe(restored);
  });

  it("is the same wherever the output is cut, whatever it is", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const pieces = cases.map(([printed]) => printed);
    for (let round = 0; round < 500; round++) {
      const some = Array.from({ length: random(8) }, () => pieces[random(pieces.length)]).join("");
      const noise = Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      const printed = Buffer.concat([Buffer.from(some), noise, Buffer.from(some)]);
      const cut = left(...randomChunks(printed, random, 5));
      expect(cut, `seed ${seed}, ${printed.toString("hex")}`).toBe(left(printed));
    }
  });
});
