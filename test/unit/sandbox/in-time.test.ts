import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  BootError,
  OperationAbortedError,
  OperationTimeoutError,
  PortInUseError,
} from "../../../src/errors.ts";
import { inTime, startInTime } from "../../../src/sandbox/boot/in-time.ts";
import { bounded } from "../../../src/util/bounded.ts";

const SEEN = { commandLine: "qemu", qemuOutput: "words", consoleTail: "tail" };
const never = new AbortController().signal;
const within = (timeoutMs: number, signal = never) => ({ timeoutMs, sinceMs: performance.now(), signal });
const until = (signal: AbortSignal) =>
  bounded(new Promise<never>(() => {}), { operation: "Booting", timeoutMs: 60_000, signal });

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  );
}

describe("a start that has so much time", () => {
  it("has less and less of it, and gives what it came to", async () => {
    const lefts: number[] = [];
    const came = await startInTime("web", within(60_000), async (_context, { leftMs }) => {
      lefts.push(leftMs());
      await sleep(20);
      lefts.push(leftMs());
      return "up";
    });
    expect(came).toBe("up");
    expect(lefts[1]).toBeLessThan(lefts[0] as number);
  });

  it("is aborted then, whatever it waits for, and says how long it had", async () => {
    const error = await failureOf(startInTime("web", within(50), ({ signal }) => until(signal)));
    expect(error).toBeInstanceOf(OperationTimeoutError);
    expect(error).toMatchObject({
      message: 'Starting machine "web" did not finish within 0.05 s',
      timeoutSeconds: 0.05,
      cause: expect.any(OperationAbortedError),
    });
  });

  it("names that time and not the rest that was left for a step, with what was seen", async () => {
    const error = await failureOf(
      startInTime("web", within(50), async (_context, { leftMs }) => {
        await sleep(leftMs() + 20);
        const cause = new OperationTimeoutError("Waiting for the guest", 0.013);
        throw new BootError("The guest did not say so within 0.013 s.", SEEN, { cause });
      }),
    );
    expect(error).toBeInstanceOf(BootError);
    expect(error).toMatchObject({
      ...{ message: 'Machine "web" did not come up within 0.05 s.', ...SEEN },
      ...{ cause: expect.any(OperationTimeoutError), details: { timeoutMs: 50, ...SEEN } },
    });
  });

  it("names that time too where what was late is told by another process, without its cause", async () => {
    const error = await failureOf(
      startInTime("web", within(50), async () => {
        await sleep(60);
        throw new BootError("It did not come up within 0.013 s.", SEEN, { details: { timeoutMs: 13 } });
      }),
    );
    expect(error).toMatchObject({ message: 'Machine "web" did not come up within 0.05 s.' });
  });

  it.each<[string, () => Error, number]>([
    ["before that", () => new BootError("QEMU ended.", SEEN), 0],
    ["then, for another reason", () => new PortInUseError("Port 80 is taken."), 60],
    ["before that, for want of the time of a step", () => new OperationTimeoutError("Asking", 0.01), 0],
  ])("fails with its own error where it fails %s", async (_when, make, afterMs) => {
    const error = make();
    const work = async () => {
      await sleep(afterMs);
      throw error;
    };
    expect(await failureOf(startInTime("web", within(afterMs === 0 ? 60_000 : 50), work))).toBe(error);
  });

  it("has no less of it after what may take as long as it needs, and is aborted when the rest is over", async () => {
    const lefts: number[] = [];
    const work = startInTime("web", within(1_500), async ({ signal }, { leftMs, untimed }) => {
      await Promise.all([untimed(() => sleep(500)), untimed(() => sleep(2_000))]);
      expect(signal.aborted).toBe(false);
      lefts.push(leftMs());
      await untimed(() => Promise.reject(new Error("no"))).catch(() => {});
      return until(signal);
    });
    expect(await failureOf(work)).toMatchObject({ timeoutSeconds: 1.5 });
    expect(lefts[0]).toBeGreaterThan(500);
  });

  it("is aborted by the caller's signal as ever", async () => {
    const abort = new AbortController();
    const work = startInTime("web", within(60_000, abort.signal), ({ signal }) => until(signal));
    abort.abort();
    expect(await failureOf(work)).toBeInstanceOf(OperationAbortedError);
  });
});

describe("a piece of work that shares the time of what came before it", () => {
  it("has what is left of that, and names all of it", async () => {
    const sinceMs = performance.now() - 59_900;
    const bounds = { operation: "Starting the forks", timeoutMs: 60_000, sinceMs };
    const lefts: number[] = [];
    const work = inTime(bounds, ({ signal, leftMs }) => {
      lefts.push(leftMs());
      return until(signal);
    });
    expect(await failureOf(work)).toMatchObject({
      message: "Starting the forks did not finish within 60 s",
      timeoutSeconds: 60,
      cause: expect.any(OperationAbortedError),
    });
    expect(lefts[0]).toBeLessThanOrEqual(100);
  });
});
