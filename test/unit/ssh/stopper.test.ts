import { afterEach, describe, expect, it, vi } from "vitest";
import { StoppedError, Stopper } from "../../../src/ssh/command/stopper.ts";

afterEach(() => vi.useRealTimers());

describe("why a command is stopped", () => {
  it("is the first reason, whatever comes later", () => {
    const stopper = new Stopper(null, null);
    stopper.stop({ kind: "killed" });
    stopper.stop({ kind: "timeout" });
    expect(stopper.reason).toEqual({ kind: "killed" });
  });

  it("is the timeout when its time has come, and not a moment before", () => {
    vi.useFakeTimers();
    const stopper = new Stopper(1000, null);
    vi.advanceTimersByTime(999);
    expect(stopper.reason).toBeNull();
    vi.advanceTimersByTime(1);
    expect(stopper.reason).toEqual({ kind: "timeout" });
  });

  it("is overdue where its time has come and nobody was there to see it", () => {
    vi.useFakeTimers();
    const [late, timeless] = [new Stopper(1000, null), new Stopper(null, null)];
    const now = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 1000);
    expect([late.isOverdue, timeless.isOverdue]).toEqual([true, false]);
    now.mockRestore();
    expect(late.isOverdue).toBe(false);
    vi.advanceTimersByTime(1000);
    expect([late.isOverdue, late.reason]).toEqual([false, { kind: "timeout" }]);
  });

  it("is the caller's signal, aborted before or later", () => {
    const abort = new AbortController();
    const stopper = new Stopper(null, abort.signal);
    abort.abort("why");
    expect(stopper.reason).toEqual({ kind: "aborted", cause: "why" });
    expect(new Stopper(null, AbortSignal.abort("early")).reason).toEqual({ kind: "aborted", cause: "early" });
  });

  it("ends a wait, which goes on by itself", async () => {
    const stopper = new Stopper(null, null);
    const wait = stopper.race(new Promise(() => {}));
    stopper.stop({ kind: "timeout" });
    await expect(wait).rejects.toThrow(StoppedError);
    await expect(stopper.race(Promise.resolve(1))).rejects.toThrow(StoppedError);
  });

  it("is none any more after the end: neither clock nor signal is listened to", () => {
    vi.useFakeTimers();
    const abort = new AbortController();
    const stopper = new Stopper(1000, abort.signal);
    stopper.dispose();
    vi.advanceTimersByTime(2000);
    abort.abort();
    expect(stopper.reason).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });
});
