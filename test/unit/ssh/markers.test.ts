import { describe, expect, it } from "vitest";
import { MarkerSplitter } from "../../../src/ssh/protocol/markers.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

const TOKEN = "smolvm-0123456789abcdef";

function split(chunks: readonly Buffer[]): { output: string; events: string[] } {
  const events: string[] = [];
  let output = "";
  const splitter = new MarkerSplitter(
    TOKEN,
    (bytes) => {
      const text = bytes.toString("latin1");
      output += text;
      const last = events.at(-1);
      if (last?.startsWith(">")) events[events.length - 1] = last + text;
      else events.push(`>${text}`);
      return true;
    },
    (words) => events.push(words.join(" ")),
  );
  for (const chunk of chunks) splitter.take(chunk);
  return { output, events };
}

describe("the splitter of output and the guest's own lines", () => {
  it("hands out what comes before, between and after the lines, in order", () => {
    const text = `noise\u0001${TOKEN} ready 12\nout\u0001${TOKEN}\n\u0001${TOKEN} end 0 0 0\nrest`;
    expect(split([Buffer.from(text, "latin1")]).events).toEqual([
      ">noise",
      "ready 12",
      ">out",
      "",
      "end 0 0 0",
      ">rest",
    ]);
  });

  it("takes a line for output where the word is another one, or where it is too long for one of ours", () => {
    const stranger = "\u0001smolvm-fedcba9876543210 end 0 0 0\n";
    const endless = `\u0001${TOKEN} ${"x".repeat(400)}`;
    expect(split([Buffer.from(stranger + endless, "latin1")])).toEqual({
      output: stranger + endless,
      events: [`>${stranger}${endless}`],
    });
  });

  it("strips what a terminal adds to the end of a line", () => {
    expect(split([Buffer.from(`\u0001${TOKEN} ready 7\r\n`, "latin1")]).events).toEqual(["ready 7"]);
  });

  it("hands out at once what can't be the beginning of a line, and holds back only what can", () => {
    const seen: string[] = [];
    const take = (bytes: Buffer) => {
      seen.push(bytes.toString("latin1"));
      return true;
    };
    const splitter = new MarkerSplitter(TOKEN, take, () => {});
    splitter.take(Buffer.from("abc\u0001smolvm-01", "latin1"));
    expect(seen).toEqual(["abc"]);
    splitter.take(Buffer.from("zzz", "latin1"));
    expect(seen).toEqual(["abc", "\u0001smolvm-01zzz"]);
  });

  it("passes on that the reader has had enough", () => {
    const splitter = new MarkerSplitter(
      TOKEN,
      () => false,
      () => {},
    );
    expect(splitter.take(Buffer.from("abc"))).toBe(false);
    expect(splitter.take(Buffer.from(""))).toBe(true);
  });

  it("finds the same in whatever chunks the bytes come", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const pieces = [
      "a",
      "\n",
      "\u0001",
      `\u0001${TOKEN.slice(0, 9)}`,
      `\u0001${TOKEN} end 3 0 1\n`,
      `\u0001${TOKEN}\n`,
    ];
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: random(12) }, () => pieces[random(pieces.length)] ?? "").join("");
      const bytes = Buffer.from(`${text}.`, "latin1");
      const whole = split([bytes]);
      expect(split(randomChunks(bytes, random, 7)), `seed ${seed}, round ${round}`).toEqual(whole);
    }
  });
});
