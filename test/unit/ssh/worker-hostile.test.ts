import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { OutputSink } from "../../../src/ssh/transport/channel.ts";
import { Worker } from "../../../src/ssh/worker/worker.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A worker whose guest says what the test has it say. */
function startWorker() {
  const seen = { resumed: 0, closed: 0 };
  let sink: OutputSink = () => true;
  const never = new Promise<never>(() => {});
  const worker = new Worker(
    {
      setSink: (given) => {
        sink = given;
      },
      resume: () => seen.resumed++,
      write: async () => {},
      end: () => {},
      resize: () => {},
      close: () => seen.closed++,
      exited: never,
      closed: never,
    },
    "token",
    0,
  );
  const say = (words: string) => sink("stdout", Buffer.from(words));
  return { worker, seen, say };
}

it("has one timer for what nobody reads, of however many pieces that is", () => {
  const { say, seen } = startWorker();
  const flood = "x".repeat(8 * 1024 * 1024);
  expect([say(flood), say(flood)]).toEqual([true, false]);
  for (let piece = 0; piece < 1_000; piece++) expect(say("x")).toBe(false);
  expect(vi.getTimerCount()).toBe(1);
  vi.runAllTimers();
  expect(seen.resumed).toBe(1);
  say(flood);
  expect(vi.getTimerCount()).toBe(1);
});

it.each(["ready", "pid"])("is given up where the guest's process is no number (%s)", async (what) => {
  const { worker, seen, say } = startWorker();
  say(`\u0001token ${what} 12x\n`);
  expect(seen.closed).toBe(1);
  expect([worker.isGone, worker.pid, worker.childPid]).toEqual([true, 0, 0]);
  expect(await worker.ready).toBe(null);
});

it("is ready when the guest says which process it is", async () => {
  const { worker, say } = startWorker();
  say("\u0001token ready 12\n\u0001token pid 13\n");
  expect(await worker.ready).toBe(true);
  expect([worker.pid, worker.childPid, worker.endsByItself]).toEqual([12, 13, true]);
});
