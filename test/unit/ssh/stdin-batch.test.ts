import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { StdinBatch } from "../../../src/ssh/spec/stdin-batch.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

/** A guest that takes a piece when it is let, and notes how many were under way at once. */
function recordingGuest({ takes = true } = {}) {
  const sent: string[] = [];
  let underWay = 0;
  let most = 0;
  const send = async (bytes: Uint8Array) => {
    sent.push(Buffer.from(bytes).toString("latin1"));
    underWay++;
    most = Math.max(most, underWay);
    await nextTurn();
    underWay--;
    if (!takes) throw new Error("gone");
  };
  return { sent, batch: new StdinBatch(send), most: () => most };
}

it("pieces that come right after each other are sent as one", async () => {
  const { sent, batch } = recordingGuest();
  for (let n = 0; n < 1000; n++) expect(await batch.add(Buffer.from(`${n},`))).toBe(true);
  expect(await batch.flush()).toBe(true);
  expect(sent).toEqual([Array.from({ length: 1000 }, (_, n) => `${n},`).join("")]);
});

it("a piece that comes alone is sent without waiting for another one", async () => {
  const { sent, batch } = recordingGuest();
  await batch.add(Buffer.from("alone"));
  await nextTurn();
  await nextTurn();
  expect(sent).toEqual(["alone"]);
});

it("what is too much for one waits for the one before: no more than one is under way", async () => {
  const { sent, batch, most } = recordingGuest();
  for (let n = 0; n < 10; n++) await batch.add(Buffer.alloc(40_000, 48 + n));
  await batch.flush();
  expect(sent.map(({ length }) => length)).toEqual(Array.from({ length: 5 }, () => 80_000));
  expect(most()).toBe(1);
});

it("a guest that takes nothing any more is given nothing any more", async () => {
  const { sent, batch } = recordingGuest({ takes: false });
  await batch.add(Buffer.from("a"));
  expect(await batch.flush()).toBe(false);
  expect(await batch.add(Buffer.from("b"))).toBe(false);
  expect(await batch.flush()).toBe(false);
  expect(sent).toEqual(["a"]);
});

it("every byte arrives once and in order, whatever the pieces and the pauses", async () => {
  const seed = chooseSeed();
  const random = seededRandom(seed);
  for (let round = 0; round < 20; round++) {
    const { sent, batch, most } = recordingGuest();
    const pieces = Array.from({ length: random(60) }, () =>
      Buffer.alloc(random(3) === 0 ? random(100_000) : random(20), random(256)),
    );
    for (const piece of pieces) {
      await batch.add(piece);
      if (random(4) === 0) await nextTurn();
    }
    await batch.flush();
    const all = Buffer.concat(pieces).toString("latin1");
    expect(sent.join("") === all, `seed ${seed}`).toBe(true);
    expect(most(), `seed ${seed}`).toBeLessThanOrEqual(1);
  }
});
