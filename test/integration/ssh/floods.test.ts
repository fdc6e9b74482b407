import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationTimeoutError,
} from "../../../src/errors.ts";
import { Run } from "../../../src/sandbox/command/run.ts";
import type { RunOptions } from "../../../src/sandbox/command/run-options.ts";
import { eventually } from "../../support/eventually.ts";
import { type FloodGuest, startFloodGuest } from "../../support/flood-guest.ts";

/** Of unbounded floods it takes a second to grow by several times as much. */
const MOST_GROWTH_BYTES = 150e6;
const OVERRUN = /the guest's SSH server sent more than it was allowed to/;

let guest: FloodGuest;
afterEach(async () => {
  await guest.close();
});

const run = (command: string, options: RunOptions = {}) =>
  new Run(async () => ({ runner: guest.runner, vm: { id: "vm-flood", name: "flood" } }), command, {
    timeout: 30,
    ...options,
  });

/** Reads one piece and never another one. */
async function readOnce(running: Run): Promise<void> {
  const reader = running[Symbol.asyncIterator]();
  await reader.next();
}

async function growthWhile(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss;
  let most = before;
  const watching = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 20);
  await work();
  clearInterval(watching);
  return Math.max(most, process.memoryUsage().rss) - before;
}

describe("a server that sends more than it may", () => {
  it.each(["stdout", "stderr"])(
    "on %s, which nobody reads, is cut off, and the command's outcome unknown",
    async (kind) => {
      guest = await startFloodGuest(kind);
      const growth = await growthWhile(async () => {
        const running = run("yes");
        await readOnce(running);
        await expect(running).rejects.toThrow(CommandOutcomeUnknownError);
        await expect(running).rejects.toThrow(OVERRUN);
      });
      expect(growth).toBeLessThan(MOST_GROWTH_BYTES);
    },
  );

  it.each(["requests", "opens", "ignore", "extended", "unknown", "empty"])(
    "of what is for nothing (%s) is cut off",
    async (kind) => {
      guest = await startFloodGuest(kind);
      const growth = await growthWhile(() => expect(run("yes")).rejects.toThrow(OVERRUN));
      expect(growth).toBeLessThan(MOST_GROWTH_BYTES);
    },
  );

  it("as a greeting is cut off too: no command ever runs", async () => {
    guest = await startFloodGuest("greet");
    const running = run("true", { timeout: 2 });
    const growth = await growthWhile(() => expect(running).rejects.toThrow(OperationTimeoutError));
    expect(growth).toBeLessThan(MOST_GROWTH_BYTES);
  });
});

it("output of which each packet has one byte takes no more memory for a reader who is far behind than what is in it, more or less", async () => {
  guest = await startFloodGuest("crumbs");
  let running: Run | null = null;
  const growth = await growthWhile(async () => {
    running = run("yes");
    await readOnce(running);
    await sleep(8_000);
  });
  expect(growth).toBeLessThan(MOST_GROWTH_BYTES);
  const ended = expect(running).rejects.toThrow(CommandOutcomeUnknownError);
  await guest.close();
  await ended;
  guest = await startFloodGuest("numbers");
});

describe("numbers that a guest makes up", () => {
  it.each(["end 256 0 0", "end NaN 0 0", "end -1 0 0", "end 1e3 0 0", "end 9 1 0"])(
    '"%s" is no result: the outcome is unknown',
    async (kind) => {
      guest = await startFloodGuest(kind);
      const running = run("true");
      await expect(running).rejects.toThrow(CommandOutcomeUnknownError);
      await expect(running).rejects.toThrow(/told of its end in no way that can be understood/);
    },
  );

  it("of its memory don't hold up the commands that follow", async () => {
    guest = await startFloodGuest("numbers");
    expect((await run("true")).exitCode).toBe(0);
    expect(await guest.runner.isResponsive(5_000)).toBe(true); // its keeper has told of its memory
    const results = await Promise.all([1, 2, 3].map(() => run("true", { timeout: 5 })));
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
  });
});

describe("a server that hangs up as soon as somebody has logged in", () => {
  it("is asked less and less often, and a command says so in the end", async () => {
    guest = await startFloodGuest("hang up");
    await expect(run("true", { timeout: 60 })).rejects.toThrow(CommandExecutionUnavailableError);
    const asked = await guest.countConnections();
    expect(asked).toBeLessThan(20);
    await sleep(3_000);
    expect((await guest.countConnections()) - asked).toBeLessThan(5);
  });
});

it("input from a source without end waits for a server that takes none of it, though its window is open", async () => {
  guest = await startFloodGuest("deaf");
  let given = 0;
  const source = (async function* () {
    for (;;) {
      given += 65_536;
      yield Buffer.alloc(65_536);
      await sleep(0);
    }
  })();
  const running = run("cat >/dev/null", { stdin: source, timeout: 3 });
  running.catch(() => {});
  await eventually(() => given > 0, "it is read");
  await sleep(2_000);
  expect(given).toBeLessThan(40e6);
  await running.catch(() => {});
});
