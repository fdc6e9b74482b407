import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { watchAbort } from "../../src/util/watch-abort.ts";

describe("watching a signal", () => {
  it("tells each who still waits, once", () => {
    const controller = new AbortController();
    const told: string[] = [];
    const leaveA = watchAbort(controller.signal, () => told.push("a"));
    watchAbort(controller.signal, () => told.push("b"));
    watchAbort(controller.signal, () => told.push("c"));
    leaveA();
    leaveA();
    controller.abort();
    expect(told).toEqual(["b", "c"]);
  });

  it("puts one listener on it for however many wait, and none when nobody does", () => {
    const { signal } = new AbortController();
    const leave = Array.from({ length: 50 }, () => watchAbort(signal, () => {}));
    expect(getEventListeners(signal, "abort").length).toBe(1);
    for (const one of leave) one();
    expect(getEventListeners(signal, "abort").length).toBe(0);
    watchAbort(signal, () => {})();
    expect(getEventListeners(signal, "abort").length).toBe(0);
  });

  it("lets one who is told make another leave", () => {
    const controller = new AbortController();
    const told: string[] = [];
    watchAbort(controller.signal, () => leaveB());
    const leaveB = watchAbort(controller.signal, () => told.push("b"));
    controller.abort();
    expect(told).toEqual([]);
  });
});
