import { describe, expect, it } from "vitest";
import { Queue } from "../../src/util/queue.ts";

const never = new AbortController().signal;

describe("the queue of commands", () => {
  it("lets so many in, and the others in the order of their coming", async () => {
    const queue = new Queue(2);
    const order: string[] = [];
    const enter = async (name: string) => {
      const leave = await queue.enter(never);
      order.push(name);
      return leave;
    };
    const [first, second, third, fourth] = ["a", "b", "c", "d"].map(enter);
    await Promise.all([first, second]);
    expect([order, queue.waiting]).toEqual([["a", "b"], 2]);
    (await second)?.();
    (await third)?.();
    await fourth;
    expect([order, queue.waiting]).toEqual([["a", "b", "c", "d"], 0]);
  });

  it("gives a place back once, however often it is told", async () => {
    const queue = new Queue(1);
    const leave = await queue.enter(never);
    leave();
    leave();
    expect(queue.inside).toBe(0);
  });

  it("forgets who is aborted while he waits", async () => {
    const queue = new Queue(1);
    const leave = await queue.enter(never);
    const abort = new AbortController();
    const waiting = queue.enter(abort.signal);
    const next = queue.enter(never);
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    leave();
    await next;
    expect([queue.inside, queue.waiting]).toEqual([1, 0]);
  });

  it("refuses who is aborted already", async () => {
    await expect(new Queue(1).enter(AbortSignal.abort(new Error("late")))).rejects.toThrow("late");
  });

  it("lets more in as it is made larger", async () => {
    const queue = new Queue(1);
    await queue.enter(never);
    const next = queue.enter(never);
    queue.capacity = 2;
    await next;
    expect(queue.inside).toBe(2);
  });
});
