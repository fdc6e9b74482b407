import { describe, expect, it } from "vitest";
import { PieceQueue } from "../../src/util/piece-queue.ts";
import { chooseSeed, randomChunks, seededRandom } from "../support/random.ts";

function takeAll(queue: PieceQueue): [number, string][] {
  const all: [number, string][] = [];
  for (let piece = queue.shift(); piece; piece = queue.shift())
    all.push([piece.kind, Buffer.from(piece.bytes).toString("latin1")]);
  return all;
}

describe("pieces that wait for their reader", () => {
  it("stay as they came while there are few of them", () => {
    const queue = new PieceQueue();
    queue.push(0, Buffer.from("a"));
    queue.push(0, Buffer.from("b"));
    queue.push(1, Buffer.from("c"));
    expect(queue.bytes).toBe(3);
    expect(takeAll(queue)).toEqual([
      [0, "a"],
      [0, "b"],
      [1, "c"],
    ]);
    expect(queue.isEmpty).toBe(true);
  });

  it("are joined where there are many of one kind, but not without end", () => {
    const queue = new PieceQueue();
    for (let i = 0; i < 100_000; i++) queue.push(0, Buffer.from("x"));
    const all = takeAll(queue);
    expect(all.length).toBeLessThan(300);
    expect(Math.max(...all.map(([, text]) => text.length))).toBeLessThanOrEqual(64 * 1024);
  });

  it("keep their bytes and the order of their kinds, however they come and go", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 15; round++) {
      const queue = new PieceQueue();
      let given = "";
      let taken = "";
      const note = (kind: number, text: string) => [...text].map((each) => `${kind}${each}`).join("");
      const takeOne = () => {
        const piece = queue.shift();
        if (piece) taken += note(piece.kind, Buffer.from(piece.bytes).toString("latin1"));
      };
      const bytes = Buffer.from(Array.from({ length: 3000 }, () => 97 + random(26)));
      for (const chunk of randomChunks(bytes, random, 1 + random(8))) {
        const kind = random(2);
        queue.push(kind, chunk);
        given += note(kind, chunk.toString("latin1"));
        if (random(8) === 0) takeOne();
      }
      while (!queue.isEmpty) takeOne();
      expect(taken, `seed ${seed}, round ${round}`).toBe(given);
    }
  });
});
