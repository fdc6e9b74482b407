import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { CommandSpec } from "../../../src/ssh/spec/command-spec.ts";
import { Activity } from "../../../src/ssh/worker/activity.ts";
import type { Keeper } from "../../../src/ssh/worker/control-shell.ts";
import type { ChildEnd, Standby, Worker } from "../../../src/ssh/worker/worker.ts";
import { WorkerPool } from "../../../src/ssh/worker/worker-pool.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

/** The pool of a guest where nobody lives but us, and how many shells it has started ahead of time. */
function poolOf() {
  const activity = new Activity();
  let prepared = 0;
  const openWorker = async () => {
    const worker = {
      ready: Promise.resolve(true),
      gone: new Promise(() => {}),
      standby: null as Partial<Standby> | null,
      prepare(known: Partial<Standby>) {
        prepared++;
        worker.standby = known;
        return Promise.resolve(true);
      },
      forkChild() {},
      quit() {},
    };
    return worker as unknown as Worker;
  };
  const keeper = { lookAround: async () => ({ anyAlive: false, freeKib: 1e6 }) };
  const facts = { cgroups: true, isRoot: true, loginShell: "bash", memoryKib: 1e6, freeKib: 1e6 };
  const home = { openWorker, keeper: async () => keeper as Keeper, forgetDeadline: async () => {}, facts };
  const pool = new WorkerPool(home, activity);
  return {
    get prepared() {
      return prepared;
    },
    /** One command, which ends like that where it is given to a shell that waits; and a tenth of a second after it. */
    async run(end: ChildEnd) {
      const spec = { shell: "raw", command: "true", env: {} } as unknown as CommandSpec;
      const worker = await pool.take(spec, new AbortController().signal);
      const { standby } = worker;
      activity.begin();
      worker.standby = null;
      activity.end();
      const use = { isTainted: false, hasDeadline: false, isLast: false, standby };
      pool.giveBack(worker, standby ? end : WELL, use);
      await vi.advanceTimersByTimeAsync(100);
    },
  };
}

const WELL: ChildEnd = { kind: "exited", status: { code: 0 }, leftSomebody: false };
const STALE: ChildEnd = { kind: "never ran", why: "gone" };

it("a shell is started ahead of time for each command, where those that wait are of use", async () => {
  const pool = poolOf();
  for (let n = 0; n < 20; n++) await pool.run(WELL);
  expect(pool.prepared).toBeGreaterThanOrEqual(19);
});

it("where somebody else uses the guest too, so that each that waits is stale, ever fewer are started", async () => {
  const pool = poolOf();
  for (let n = 0; n < 40; n++) await pool.run(STALE);
  expect(pool.prepared).toBeGreaterThan(3);
  expect(pool.prepared).toBeLessThan(12);
});

it("and one for each command again, once one was of use", async () => {
  const pool = poolOf();
  for (let n = 0; n < 40; n++) await pool.run(STALE);
  await vi.advanceTimersByTimeAsync(30_000);
  const before = pool.prepared;
  for (let n = 0; n < 10; n++) await pool.run(WELL);
  expect(pool.prepared - before).toBeGreaterThanOrEqual(9);
});
