import { describe, expect, it } from "vitest";
import { lineSplitter } from "../../src/util/line-splitter.ts";
import { chooseSeed, randomChunks, seededRandom } from "../support/random.ts";

function split(chunks: Buffer[], maxBytes = 1000): [string, boolean][] {
  const lines: [string, boolean][] = [];
  const push = lineSplitter(maxBytes, (line, cut) => lines.push([line.toString("latin1"), cut]));
  for (const chunk of chunks) push(chunk);
  return lines;
}

const text = (value: string) => Buffer.from(value, "latin1");

describe("lines out of chunks", () => {
  it("come whole when the chunks cut them", () => {
    expect(split([text("a"), text("b\nc"), text("\n")])).toEqual([
      ["ab", false],
      ["c", false],
    ]);
  });

  it("come one by one when a chunk holds several, empty ones too", () => {
    expect(split([text("a\n\nb\nrest")])).toEqual([
      ["a", false],
      ["", false],
      ["b", false],
    ]);
  });

  it("are handed out in pieces when they are too long", () => {
    expect(split([text("abcdefgh\nx\n")], 3)).toEqual([
      ["abc", true],
      ["def", true],
      ["gh", false],
      ["x", false],
    ]);
  });

  it("of exactly the longest length are whole", () => {
    expect(split([text("abc"), text("\nabc\n")], 3)).toEqual([
      ["abc", false],
      ["abc", false],
    ]);
  });

  it("are the same however the bytes are cut", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(
        Array.from({ length: random(200) }, () => (random(6) === 0 ? 0x0a : random(256))),
      );
      const maxBytes = 1 + random(40);
      const chunks = randomChunks(bytes, random);
      expect(split(chunks, maxBytes), `seed ${seed}, round ${round}`).toEqual(split([bytes], maxBytes));
      const whole = split(chunks, 1000).map(([line]) => line);
      expect(whole, `seed ${seed}, round ${round}`).toEqual(
        bytes.toString("latin1").split("\n").slice(0, -1),
      );
    }
  });
});
