import { describe, expect, it } from "vitest";
import { Slots } from "../../../src/ssh/worker/slots.ts";

/** A promise and the calls that settle it. */
function deferred() {
  let resolve: () => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onDone, onError) => {
    resolve = onDone;
    reject = onError;
  });
  return { promise, resolve, reject };
}

describe("the number of a command's cgroup", () => {
  it("is used again when its command is gone", () => {
    const slots = new Slots();
    expect([slots.take(), slots.take()]).toEqual([1, 2]);
    slots.release(1);
    expect([slots.take(), slots.take()]).toEqual([1, 3]);
  });

  it("is not used again while anything is under way for its last command", async () => {
    const slots = new Slots();
    const [kill, deadline] = [deferred(), deferred()];
    const first = slots.take();
    const killed = slots.holdFor(first, kill.promise);
    const forgotten = slots.holdFor(first, deadline.promise);
    slots.release(first);
    expect(slots.take()).toBe(2);
    kill.resolve();
    await killed;
    expect(slots.take()).toBe(3);
    deadline.reject(new Error("the keeper is gone"));
    await expect(forgotten).rejects.toThrow("the keeper is gone");
    expect(slots.take()).toBe(first);
  });

  it("stays in use when what was under way for its command is over first", async () => {
    const slots = new Slots();
    const first = slots.take();
    await slots.holdFor(first, Promise.resolve());
    expect(slots.take()).toBe(2);
    slots.release(first);
    expect(slots.take()).toBe(first);
  });
});
