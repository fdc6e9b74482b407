import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forkMachine } from "../../../src/sandbox/fork.ts";
import type { Handle } from "../../../src/sandbox/handle.ts";
import type { StartOptions } from "../../../src/sandbox/options.ts";
import { bounded } from "../../../src/util/bounded.ts";

const MANY = 30;
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
  ...{ logger: {}, spec: { persistent: false } },
  copy: async () => ({ facts, paths: { folder: "/nonexistent/folder" } }),
} as unknown as Handle;

let warnings: string[] = [];
const warn = (warning: Error) => warnings.push(String(warning));
beforeEach(() => {
  warnings = [];
  process.on("warning", warn);
});
afterEach(() => process.off("warning", warn));

/** One that starts as a machine does, which ends by the signal at each of its steps. */
function fork(startMs: number) {
  return {
    isDeleted: false,
    async start({ signal }: StartOptions) {
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
    const made: ReturnType<typeof fork>[] = [];
    const make = () => {
      made.push(fork(5_000));
      return made.at(-1) as ReturnType<typeof fork>;
    };
    const signal = AbortSignal.timeout(50);
    await expect(forkMachine(source, { count: MANY, signal }, make)).rejects.toThrow();
    expect(made.map(({ isDeleted }) => isDeleted)).toEqual(Array(MANY).fill(true));
    await sleep(10);
    expect(warnings).toEqual([]);
  });
});
