import { describe, expect, it } from "vitest";
import { MarkerSplitter } from "../../../src/ssh/protocol/markers.ts";
import { costGrowth, MOST_GROWTH } from "../../support/cost.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

const TOKEN = "smolvm-0123456789abcdef";
const PREFIX = `\u0001${TOKEN}`;
const LONGEST = 256;

/** Pieces of output as one text each, and our lines as they are. */
function split(chunks: readonly Buffer[]): string[] {
  const events: string[] = [];
  const splitter = new MarkerSplitter(
    TOKEN,
    (bytes) => {
      const isMore = events.at(-1)?.startsWith(">") ?? false;
      const before = isMore ? (events.pop() ?? "") : ">";
      events.push(before + bytes.toString("latin1"));
      return true;
    },
    (words) => events.push(`!${words.join(" ")}`),
  );
  for (const chunk of chunks) splitter.take(chunk);
  splitter.take(Buffer.from(`\n${"e".repeat(2 * LONGEST)}`)); // whatever is held back comes out
  return events;
}

/** The rule in the plainest words. */
function splitPlainly(text: string): string[] {
  const all = `${text}\n${"e".repeat(2 * LONGEST)}`;
  const events: string[] = [];
  let output = "";
  const flush = () => {
    if (output !== "") events.push(`>${output}`);
    output = "";
  };
  for (let at = 0; at < all.length; ) {
    const end = all.startsWith(PREFIX, at) ? all.indexOf("\n", at) : -1;
    if (end === -1 || end - at >= LONGEST) {
      output += all[at++];
      continue;
    }
    flush();
    const words = all.slice(at + PREFIX.length, end).split(/\s+/);
    events.push(`!${words.filter((word) => word !== "").join(" ")}`);
    at = end + 1;
  }
  flush();
  return events;
}

describe("output that is made to look like lines of ours", () => {
  it("is told apart in the same way, however it is cut", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const parts = [
      ...["\u0001", PREFIX, PREFIX.slice(0, 10), `${PREFIX} end 0 0 0\n`, "\n", "x", "\u0001\u0001\u0001"],
      ...["y".repeat(230), "z".repeat(300)],
    ];
    for (let round = 0; round < 150; round++) {
      const text = Array.from({ length: 1 + random(12) }, () => parts[random(parts.length)]).join("");
      const bytes = Buffer.from(text, "latin1");
      const expected = splitPlainly(text);
      const where = `seed ${seed}, round ${round}: ${JSON.stringify(text)}`;
      expect(split([bytes]), where).toEqual(expected);
      expect(split(randomChunks(bytes, random, 1 + random(40))), where).toEqual(expected);
    }
  });

  it.each([
    ["the first byte of a line again and again", "\u0001"],
    ["beginnings of lines", PREFIX],
    ["whole lines", `${PREFIX}\n`],
  ])("costs in proportion to its length: %s", (_, unit) => {
    const work = (bytes: number) =>
      void split([Buffer.from(unit.repeat(Math.ceil(bytes / unit.length)), "latin1")]);
    expect(costGrowth(work, 200_000)).toBeLessThan(MOST_GROWTH);
  });
});
