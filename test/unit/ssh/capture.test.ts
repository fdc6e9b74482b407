import { describe, expect, it } from "vitest";
import { Capture } from "../../../src/ssh/command/capture.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

function capture(maxBytes: number, ...chunks: (string | Buffer)[]): Capture {
  const made = new Capture(maxBytes);
  for (const chunk of chunks) made.add(Buffer.from(chunk));
  return made;
}

describe("what is kept of a stream", () => {
  it("is all of it as long as there is room", () => {
    const kept = capture(10, "01234", "56789");
    expect([kept.text(), kept.isTruncated]).toEqual(["0123456789", false]);
  });

  it("is its head and its tail where there is not", () => {
    const kept = capture(6, "0123456789");
    expect([kept.text(), kept.isTruncated]).toEqual(["012789", true]);
  });

  it("is one byte where one is allowed", () => {
    expect(capture(1, "abc").text()).toBe("a");
  });

  it("is a copy: the chunk may be used again", () => {
    const chunk = Buffer.from("abc");
    const kept = new Capture(10);
    kept.add(chunk);
    chunk.fill(0);
    expect(kept.text()).toBe("abc");
  });

  it("is decoded with U+FFFD for what is no UTF-8, and exact in bytes", () => {
    const kept = capture(10, Buffer.from([0x61, 0xff, 0x00, 0xe2, 0x82]));
    expect(kept.text()).toBe("a\ufffd\0\ufffd");
    expect([...kept.bytes()]).toEqual([0x61, 0xff, 0x00, 0xe2, 0x82]);
  });

  it("is the same as cutting the whole afterwards, however it comes", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 300; round++) {
      const whole = Buffer.from(Array.from({ length: random(400) }, () => random(256)));
      const max = 1 + random(300);
      const head = Math.ceil(max / 2);
      const expected =
        whole.length <= max
          ? whole
          : Buffer.concat([whole.subarray(0, head), whole.subarray(whole.length - (max - head))]);
      const kept = capture(max, ...randomChunks(whole, random, 90));
      expect(Buffer.from(kept.bytes()).equals(expected), `seed ${seed}, round ${round}`).toBe(true);
      expect(kept.isTruncated, `seed ${seed}, round ${round}`).toBe(whole.length > max);
    }
  });

  it("needs no more memory than it keeps, for endless output", () => {
    const kept = new Capture(1024);
    const chunk = Buffer.alloc(64 * 1024, "x");
    for (let i = 0; i < 2000; i++) kept.add(chunk);
    expect(kept.bytes().length).toBe(1024);
  });
});
