import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { OperationAbortedError, OperationTimeoutError, SmolVM } from "../../../src/index.ts";
import { takeIdleCensus } from "../../support/guest-census.ts";
import { race, startNeighbour } from "../../support/race-commands.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

/** `npm run soak` takes longer. */
const ROUNDS = process.env.SMOLVM_SOAK ? 50 : 20;
const AT_ONCE = 6;
/** Guests are emulated, and the computer may have more to do. */
const SLOW = { timeout: 300_000 };
const LONG = { timeout: 250 } as const;

const seed = chooseSeed();
const random = seededRandom(seed);
const what = `seed ${seed}`;

let vm: SmolVM;
let filesBefore: readonly string[];
beforeAll(async () => {
  vm = await SmolVM.create();
  filesBefore = (await takeIdleCensus(vm)).files;
});
afterAll(() => vm.delete());

/** Whatever was done: nothing is left of it, and the next command is as any. */
afterEach(async () => {
  expect((await vm.run("echo next", LONG)).stdout, what).toBe("next\n");
  const { files, sessions } = await takeIdleCensus(vm);
  expect({ files, sessions }, what).toEqual({ files: filesBefore, sessions: 1 });
});

/** How each ended: "timeout", "abort", "SIGKILL", or its output. */
const ends = (runs: readonly PromiseLike<{ signal: string | null; output: string }>[]) =>
  Promise.all(
    runs.map((run) =>
      run.then(
        ({ signal, output }) => signal ?? output,
        (error: unknown) => {
          if (error instanceof OperationTimeoutError) return "timeout";
          if (error instanceof OperationAbortedError) return "abort";
          throw error;
        },
      ),
    ),
  );

describe("what ends a command about when it begins or ends by itself", () => {
  it(`has one of the ends that can be meant, and hurts nobody else (${what})`, SLOW, async () => {
    const neighbours = ["a", "b", "c"].map((name) => startNeighbour(vm, name));
    const seen = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const racers = Array.from({ length: AT_ONCE }, (_, i) => race(vm, random, round * AT_ONCE + i));
      const bystander = vm.run(`sleep 0.0${random(10)}; echo ${round}`, { ...LONG, shell: "raw" });
      for (const end of await Promise.all(racers)) seen.set(end, (seen.get(end) ?? 0) + 1);
      expect(await ends([bystander]), what).toEqual([String(round)]);
      await neighbours[round % neighbours.length]?.ask(String(round));
      if (random(4) === 0) await sleep(random(80));
    }
    for (const neighbour of neighbours) await neighbour.end();
    for (const end of ["timeout", "abort", "kill", "leave", "its own end"]) {
      expect(seen.get(end), `${end} was never seen, ${what}`).toBeGreaterThan(0);
    }
  });
});

describe("a stop", () => {
  it("reaches a command that it came too early for", SLOW, async () => {
    for (let round = 0; round < ROUNDS / 2; round++) {
      const controller = new AbortController();
      const runs = [{}, { pty: true }, { stdin: "x" }].map((options) =>
        vm.run("exec sleep 86471", { ...LONG, ...options, signal: controller.signal }),
      );
      setTimeout(() => controller.abort(), random(120));
      expect(await ends(runs), what).toEqual(["abort", "abort", "abort"]);
    }
  });

  it("reaches every process of a command, whenever it comes", SLOW, async () => {
    const runs = Array.from({ length: 30 }, async () => {
      const run = vm.run("sleep 86472 & sleep 86472 & (setsid sleep 86472 &); sleep 86472", LONG);
      await sleep(random(1500));
      run.kill(random(2) ? "SIGTERM" : "SIGHUP");
      return (await ends([run]))[0];
    });
    for (const end of await Promise.all(runs)) expect(["SIGTERM", "SIGHUP", "abort"], what).toContain(end);
  });

  it(
    "reaches a command, and not the shell that was started ahead of time and is no use to it",
    SLOW,
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await vm.run("true", { ...LONG, shell: "login" });
        await sleep(40 + random(60)); // such a shell is there then
        const run = vm.run("exec sleep 86476", { timeout: 20, shell: "raw" });
        await sleep(random(15));
        const signal = round % 2 ? "SIGTERM" : "SIGKILL";
        run.kill(signal);
        const [end] = await ends([run]);
        expect([signal, "abort"], `${what}, round ${round}`).toContain(end);
      }
    },
  );

  it("gets through to one whose output nobody takes", SLOW, async () => {
    const run = vm.run("yes", { timeout: 2 });
    const output = run[Symbol.asyncIterator]();
    await output.next();
    expect(await ends([run])).toEqual(["timeout"]);
  });

  it("by SIGKILL ends thirty at once", SLOW, async () => {
    const runs = Array.from({ length: 30 }, () => vm.run("sleep 86473 & sleep 86473", LONG));
    await sleep(random(2000));
    for (const run of runs) run.kill("SIGKILL");
    for (const end of await ends(runs)) expect(["SIGKILL", "abort"], what).toContain(end);
  });

  it("by timeout ends forty at once", SLOW, async () => {
    const runs = Array.from({ length: 40 }, () => vm.run("sleep 86474 & sleep 86474", { timeout: 2 }));
    expect(await ends(runs)).toEqual(runs.map(() => "timeout"));
  });

  it("takes those out of the queue whose turn has not come, and no others", SLOW, async () => {
    const controller = new AbortController();
    const runs = Array.from({ length: 200 }, (_, i) =>
      vm.run(["echo", String(i)], { ...LONG, shell: "raw", ...(i % 4 ? { signal: controller.signal } : {}) }),
    );
    await sleep(random(500));
    controller.abort();
    const seen = await ends(runs);
    expect(seen.filter((_, i) => i % 4 === 0)).toEqual(Array.from({ length: 50 }, (_, i) => String(4 * i)));
    for (const [i, end] of seen.entries()) expect([String(i), "abort"], what).toContain(end);
  });
});

describe("a command that has ended", () => {
  it("leaves no deadline to the one that runs next where it ran", SLOW, async () => {
    const first = [1, 2, 3].map(() => vm.run("sleep 1; echo over", { timeout: 3, stdin: "x", shell: "raw" }));
    for (const end of await ends(first)) expect(["over", "timeout"]).toContain(end);
    const next = [1, 2, 3, 4].map(() => vm.run("sleep 6; echo over", { timeout: null, shell: "raw" }));
    expect(await ends(next)).toEqual(["over", "over", "over", "over"]);
  });

  it("is waited for no longer than those whom it left running live", SLOW, async () => {
    const runs = [{}, { stdin: "x" }, {}, { stdin: "y" }].map((options) =>
      vm.run("(sleep 1; echo late) & echo over", { ...LONG, ...options }),
    );
    for (const end of await ends(runs)) expect(["over", "over\nlate"]).toContain(end);
  });
});

describe("a machine whose first commands are aborted while it connects", () => {
  it(`runs those that come after (${what})`, SLOW, async () => {
    const fresh = await SmolVM.create();
    try {
      for (let round = 0; round < 12; round++) {
        const controller = new AbortController();
        const aborted = fresh.run("exec sleep 86475", { ...LONG, signal: controller.signal });
        setTimeout(() => controller.abort(), random(round < 8 ? 15 : 150));
        expect(await ends([aborted]), what).toEqual(["abort"]);
        if (round % 4 === 3) expect(await ends([fresh.run("echo here", LONG)]), what).toEqual(["here"]);
      }
      await takeIdleCensus(fresh);
    } finally {
      await fresh.delete();
    }
  });
});
