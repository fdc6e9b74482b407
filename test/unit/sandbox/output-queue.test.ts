import { describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { OutputQueue } from "../../../src/sandbox/command/output-queue.ts";

const bytes = (text: string) => Buffer.from(text);

async function readAll(queue: OutputQueue): Promise<string[]> {
  const seen: string[] = [];
  for (let chunk = await queue.next(); chunk; chunk = await queue.next())
    seen.push(`${chunk.stream}:${chunk.text}`);
  return seen;
}

describe("the way of output to its reader", () => {
  it("keeps the order in which it came, across the two streams", async () => {
    const queue = new OutputQueue(() => {});
    queue.take("stdout", bytes("a"));
    queue.take("stderr", bytes("b"));
    queue.claim();
    queue.take("stdout", bytes("c"));
    queue.end();
    expect(await readAll(queue)).toEqual(["stdout:a", "stderr:b", "stdout:c"]);
  });

  it("decodes a character that came in two pieces, and half a one at the end as U+FFFD", async () => {
    const queue = new OutputQueue(() => {});
    queue.claim();
    const euro = bytes("€");
    queue.take("stdout", euro.subarray(0, 1));
    queue.take("stderr", bytes("x"));
    queue.take("stdout", euro.subarray(1));
    queue.take("stdout", euro.subarray(0, 2));
    queue.end();
    expect((await readAll(queue)).join("|")).toBe("stdout:|stderr:x|stdout:€|stdout:|stdout:\ufffd");
  });

  it("holds the writer back while the reader is behind, and lets it go on when he has caught up", async () => {
    let resumed = 0;
    const queue = new OutputQueue(() => resumed++);
    queue.claim();
    const chunk = Buffer.alloc(100 * 1024);
    expect([1, 2, 3].map(() => queue.take("stdout", chunk))).toEqual([true, true, false]);
    await queue.next();
    expect(resumed).toBe(0);
    await queue.next();
    expect(resumed).toBe(1);
    expect(queue.take("stdout", chunk)).toBe(true);
  });

  it("lets the writer go on once where more came while the reader caught up", async () => {
    let resumed = 0;
    const queue = new OutputQueue(() => resumed++);
    queue.claim();
    for (let piece = 0; piece < 4; piece++) queue.take("stdout", Buffer.alloc(64 * 1024));
    await queue.next();
    expect(queue.take("stdout", bytes("late"))).toBe(false);
    queue.end();
    await readAll(queue);
    expect(resumed).toBe(1);
  });

  it("holds nobody back and keeps nothing where the result alone is wanted", () => {
    const queue = new OutputQueue(() => {});
    queue.letFlow();
    for (let i = 0; i < 100; i++) expect(queue.take("stdout", Buffer.alloc(100 * 1024))).toBe(true);
    expect(() => queue.claim()).toThrow(ValidationError);
  });

  it("refuses to begin where the beginning is lost, and to be read twice", () => {
    const late = new OutputQueue(() => {});
    for (let i = 0; i < 20; i++) late.take("stdout", Buffer.alloc(100 * 1024));
    expect(() => late.claim()).toThrow(ValidationError);
    const twice = new OutputQueue(() => {});
    twice.claim();
    expect(() => twice.claim()).toThrow(ValidationError);
  });

  it("may be read where the result is wanted too, as long as nothing has gone by", () => {
    const queue = new OutputQueue(() => {});
    queue.letFlow();
    expect(() => queue.claim()).not.toThrow();
  });

  it("lets the writer go on when the reader leaves", () => {
    let resumed = 0;
    const queue = new OutputQueue(() => resumed++);
    queue.claim();
    queue.take("stdout", Buffer.alloc(300 * 1024));
    queue.abandon();
    expect(resumed).toBe(1);
  });

  it("calls the listener of each stream with text and bytes, and lets what it throws through", () => {
    const queue = new OutputQueue(() => {});
    const seen: unknown[] = [];
    queue.listen(
      (text, chunk) => seen.push(["out", text, Buffer.from(chunk).toString()]),
      () => {
        throw new Error("mine");
      },
    );
    queue.letFlow();
    queue.take("stdout", bytes("é"));
    expect(seen).toEqual([["out", "é", "é"]]);
    expect(() => queue.take("stderr", bytes("x"))).toThrow("mine");
  });
});

describe("listeners that return promises", () => {
  /** A listener whose calls are settled from outside. */
  function slowListener() {
    const calls: { readonly size: number; readonly done: () => void }[] = [];
    const hear = (_: string, chunk: Uint8Array) =>
      new Promise<void>((done) => {
        calls.push({ size: chunk.length, done });
      });
    return { calls, hear };
  }

  it("hold the writer back, and what has come all the same waits for them", async () => {
    let resumed = 0;
    const { calls, hear } = slowListener();
    const queue = new OutputQueue(() => resumed++);
    queue.listen(hear, null);
    queue.letFlow();
    const flows = [1, 2, 3, 4].map(() => queue.take("stdout", Buffer.alloc(100 * 1024)));
    expect(flows).toEqual([true, true, false, false]);
    expect(calls.length).toBe(3);
    const settled = queue.settled();
    for (let call = 0; call < 4; call++) {
      expect(resumed).toBe(call < 3 ? 0 : 1);
      calls[call]?.done();
      await new Promise(setImmediate);
    }
    await settled;
    expect(calls.map(({ size }) => size)).toEqual(Array(4).fill(100 * 1024));
  });

  it("that never settle are called some hundred times, however small the pieces are", () => {
    const { calls, hear } = slowListener();
    const queue = new OutputQueue(() => {});
    queue.listen(hear, hear);
    queue.letFlow();
    for (let piece = 0; piece < 100_000; piece++) queue.take(piece % 2 ? "stdout" : "stderr", bytes("x"));
    expect(calls.length).toBeLessThan(300);
  });

  it("hear nothing more once the run is over, or one of them has failed", async () => {
    const { calls, hear } = slowListener();
    const queue = new OutputQueue(() => {});
    queue.listen(hear, null);
    for (let piece = 0; piece < 1000; piece++) queue.take("stdout", Buffer.alloc(1024));
    const before = calls.length;
    queue.close();
    queue.take("stdout", bytes("late"));
    for (const { done } of calls) done();
    await new Promise(setImmediate);
    expect(calls.length).toBe(before);

    let heard = 0;
    const failing = new OutputQueue(() => {});
    failing.listen(async () => {
      heard++;
      throw new Error("mine");
    }, null);
    failing.take("stdout", bytes("a"));
    await new Promise(setImmediate);
    failing.take("stdout", bytes("b"));
    await expect(failing.settled()).rejects.toThrow("mine");
    expect(heard).toBe(1);
  });

  it("hear nothing more of a run that is closed, not even half a character", () => {
    const texts: string[] = [];
    const half = new OutputQueue(() => {});
    half.listen((text) => {
      if (text.includes("\ufffd")) throw new Error("mine"); // it would be told instead of what ended the run
      texts.push(text);
    }, null);
    half.take("stdout", bytes("x€").subarray(0, 2));
    expect(() => half.close()).not.toThrow();
    expect(texts).toEqual(["x"]);
  });

  it("get half a character at the end after all that waited", async () => {
    const texts: string[] = [];
    const queue = new OutputQueue(() => {});
    queue.listen(async (text) => void texts.push(text), null);
    for (let piece = 0; piece < 3; piece++) queue.take("stdout", Buffer.alloc(200 * 1024, "x"));
    queue.take("stdout", bytes("€").subarray(0, 2));
    await queue.settled();
    expect(texts.join("").replace(/x+/, "x")).toBe("x\ufffd");
  });
});
