import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { Stock, type StockOptions } from "../../../src/sandbox/stock.ts";

const never = new AbortController().signal;

function stockOf(options: Partial<StockOptions<number>> = {}) {
  let made = 0;
  const log = { atOnce: 0, most: 0, discarded: [] as number[], failures: [] as unknown[] };
  const make = async () => {
    log.atOnce++;
    log.most = Math.max(log.most, log.atOnce);
    await sleep(1);
    log.atOnce--;
    return ++made;
  };
  const stock = new Stock<number>({
    size: 2,
    mostAtOnce: 2,
    hasRoom: () => true,
    make,
    isSound: async () => true,
    discard: async (thing) => void log.discarded.push(thing),
    onFailure: (error) => void log.failures.push(error),
    ...options,
  });
  return { stock, log };
}

const filled = (stock: Stock<number>, count: number) =>
  vi.waitFor(() => expect(stock.readyCount).toBe(count), { timeout: 5000 });

describe("a stock", () => {
  it("makes as many as it is to hold, gives each to one customer only, and makes others", async () => {
    const { stock, log } = stockOf({ size: 3 });
    await filled(stock, 3);
    const taken = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => stock.take(never)));
    expect(new Set(taken).size).toBe(8);
    await filled(stock, 3);
    expect(log.most).toBe(2);
    await stock.close(new Error("closed"));
    expect(log.discarded).toHaveLength(3);
  });

  it("looks over what it hands out, and discards what is not sound", async () => {
    const { stock, log } = stockOf({ isSound: async (thing) => thing > 2 });
    await filled(stock, 2);
    expect(await stock.take(never)).toBeGreaterThan(2);
    expect(log.discarded).toEqual([1, 2]);
    await stock.close(new Error("closed"));
  });

  it("makes one for a customer though there is no room for a spare one", async () => {
    const { stock } = stockOf({ hasRoom: () => false });
    await sleep(5);
    expect(stock.readyCount).toBe(0);
    expect(await stock.take(never)).toBe(1);
    await stock.close(new Error("closed"));
  });

  it("tells a customer why there is none, and tries again for the next", async () => {
    let fails = true;
    const make = async () => {
      if (fails) throw new Error("no memory");
      return 7;
    };
    const { stock, log } = stockOf({ make, size: 1 });
    await vi.waitFor(() => expect(log.failures).toHaveLength(1));
    await expect(stock.take(never)).rejects.toThrow("no memory");
    fails = false;
    expect(await stock.take(never)).toBe(7);
    await stock.close(new Error("closed"));
  });

  it("fills up again by itself after making one has failed", async () => {
    let tries = 0;
    const make = async () => {
      if (++tries === 1) throw new Error("once");
      return tries;
    };
    const { stock } = stockOf({ make, size: 1 });
    await filled(stock, 1);
    await stock.close(new Error("closed"));
  });

  it("lets a customer go who does not want to wait any longer, and keeps no more than it is to hold", async () => {
    const { stock, log } = stockOf({ make: () => sleep(50, 9), size: 1 });
    const abort = new AbortController();
    const waiting = stock.take(abort.signal);
    abort.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await filled(stock, 1);
    await vi.waitFor(() => expect(log.discarded).toEqual([9]));
    await expect(stock.take(abort.signal)).resolves.toBe(9);
    await expect(stock.take(abort.signal)).rejects.toThrow("gone");
    await stock.close(new Error("closed"));
  });

  it("closes whole: nothing is ready, made or waited for afterwards", async () => {
    const { stock, log } = stockOf({ make: () => sleep(20, 1), mostAtOnce: 1 });
    const waiting = Promise.allSettled([stock.take(never), stock.take(never)]);
    await Promise.all([stock.close(new Error("closed")), stock.close(new Error("closed"))]);
    expect((await waiting).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(log.discarded).toEqual([1]);
    expect(stock.readyCount).toBe(0);
    await expect(stock.take(never)).rejects.toThrow("closed");
  });
});
