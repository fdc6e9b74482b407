import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import type { Handle } from "../../../src/sandbox/machine/handle.ts";
import type { StartOptions } from "../../../src/sandbox/machine/options.ts";
import { forkMachine } from "../../../src/sandbox/snapshot/fork.ts";
import { bounded } from "../../../src/util/bounded.ts";

const MANY = 30;
const COPY_MS = 20;
/** What the caller's logger was told. */
let said: string[] = [];
const facts = {
  memoryMib: 512,
  cpus: 1,
  diskMib: 4096,
  labels: {},
  sshKeyPath: null,
  own: null,
  image: null,
};
const source = {
  ...{ logger: { warn: (message: string) => said.push(message) }, spec: { name: "box", persistent: false } },
  copy: async () => {
    await sleep(COPY_MS);
    return { facts, paths: { folder: "/nonexistent/folder" } };
  },
} as unknown as Handle;

let warnings: string[] = [];
const warn = (warning: Error) => warnings.push(String(warning));
beforeEach(() => {
  warnings = [];
  said = [];
  process.on("warning", warn);
});
afterEach(() => process.off("warning", warn));

function makers(startMs: number, more: object = {}) {
  const made: ReturnType<typeof fork>[] = [];
  const make = () => {
    made.push(Object.assign(fork(startMs), more));
    return made.at(-1) as ReturnType<typeof fork>;
  };
  return { made, make };
}

/** One that starts as a machine does, which ends by the signal at each of its steps. */
function fork(startMs: number) {
  return {
    isDeleted: false,
    /** How long each of its starts was given, in seconds. */
    timeouts: [] as unknown[],
    async start({ signal, timeout }: StartOptions) {
      this.timeouts.push(timeout);
      const both = AbortSignal.any([new AbortController().signal, ...(signal ? [signal] : [])]);
      for (const each of [both, signal])
        await bounded(sleep(startMs), { operation: "Starting", timeoutMs: 10_000, signal: each });
    },
    async delete() {
      this.isDeleted = true;
    },
  };
}

describe("many forks at once", () => {
  it("give no warning, though one signal of the caller's is for all of them", async () => {
    const { signal } = new AbortController();
    const forks = await forkMachine(source, { count: MANY, signal }, () => fork(2));
    expect(forks).toHaveLength(MANY);
    await sleep(10);
    expect(warnings).toEqual([]);
  });

  it("are none where the caller gives up, and give none then either", async () => {
    const { made, make } = makers(5_000);
    const signal = AbortSignal.timeout(50);
    const count = Math.min(64, Math.max(MANY, availableParallelism() + 1)); // so that some wait for their turn
    const forking = forkMachine(source, { count, signal }, make);
    await expect(forking).rejects.toBeInstanceOf(OperationAbortedError);
    expect(made.map(({ isDeleted }) => isDeleted)).toEqual(Array(count).fill(true));
    await sleep(10);
    expect(warnings).toEqual([]);
  });
});

describe("the time that forks have", () => {
  it("is one for the copy and all starts, also of those that wait for their turn", async () => {
    const count = Math.min(64, 2 * availableParallelism());
    const { made, make } = makers(15);
    await forkMachine(source, { count, timeout: 60 }, make);
    const timeouts = made.map(({ timeouts: [timeout] }) => Number(timeout));
    expect(Math.max(...timeouts)).toBeLessThanOrEqual(60 - (COPY_MS - 1) / 1000);
    expect(timeouts.at(-1)).toBeLessThan(Number(timeouts[0]));
  });

  it("is more for many, unless it is given", async () => {
    const { made, make } = makers(0);
    await forkMachine(source, {}, make);
    await forkMachine(source, { count: 5 }, make);
    const [one, first] = made.map(({ timeouts: [timeout] }) => Math.round(Number(timeout) / 5) * 5);
    expect([one, first]).toEqual([120, 140]);
  });

  it("ends all of them, and is what the error names", async () => {
    const { made, make } = makers(5_000);
    const error = await forkMachine(source, { count: 64, timeout: 0.3 }, make).catch((failure) => failure);
    expect(error).toBeInstanceOf(OperationTimeoutError);
    expect(error).toMatchObject({
      message: 'Starting the forks of machine "box" did not finish within 0.3 s',
      timeoutSeconds: 0.3,
      cause: expect.any(Error),
    });
    expect(made.map(({ isDeleted }) => isDeleted)).toEqual(Array(64).fill(true));
    if (availableParallelism() < 64) expect(made.at(-1)?.timeouts).toEqual([]);
  });

  it("is not waited past for one that can't be removed", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const broken = new Error("it broke");
      const start = async () => Promise.reject(broken);
      let tell = () => {};
      const isRemoving = new Promise<void>((resolve) => {
        tell = resolve;
      });
      const remove = () => {
        tell();
        return new Promise<void>(() => {});
      };
      const { make } = makers(0, { start, delete: remove });
      const forking = forkMachine(source, { count: 2 }, make).catch((failure) => failure);
      await vi.advanceTimersByTimeAsync(COPY_MS);
      await isRemoving;
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await forking).toBe(broken);
      expect(said).toEqual([expect.stringContaining("Removing the forks")]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("is not waited past for one whose start hangs: the others are removed at once", async () => {
    let end = () => {};
    const hang = new Promise<void>((resolve) => {
      end = resolve;
    });
    const broken = new Error("it broke");
    const starts = [async () => Promise.reject(broken), () => hang];
    let forking: Promise<unknown> | undefined;
    await new Promise<void>((isDeleted) => {
      const make = () => ({ start: starts.shift() ?? (async () => {}), delete: async () => isDeleted() });
      forking = forkMachine(source, { count: 2 }, make);
      forking.catch(() => {});
    });
    end();
    await expect(forking).rejects.toBe(broken);
  });

  it("is no matter where one fails by itself: that is thrown, and what was not removed is told", async () => {
    const broken = new Error("it broke");
    const fail = (error: Error) => async () => Promise.reject(error);
    const { make } = makers(0, { start: fail(broken), delete: fail(new Error("it stays")) });
    await expect(forkMachine(source, {}, make)).rejects.toBe(broken);
    expect(said).toEqual(["A fork was not removed whole: Error: it stays"]);
  });
});
