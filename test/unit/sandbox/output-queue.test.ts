import { describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import { OutputQueue } from "../../../src/sandbox/output-queue.ts";

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
