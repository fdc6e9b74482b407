import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError } from "../../../src/errors.ts";
import { Run } from "../../../src/sandbox/command/run.ts";
import type { RunOptions } from "../../../src/sandbox/command/run-options.ts";
import { type CommandRunner, createCommandRunner } from "../../../src/ssh/command/command-runner.ts";
import { eventually } from "../../support/eventually.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";
import { type SshGuest, startSshGuest } from "../../support/ssh-guest.ts";

let guest: SshGuest;
let runner: CommandRunner;

beforeEach(async () => {
  guest = await startSshGuest();
  runner = createCommandRunner({
    vm: { id: "vm-test", name: "test" },
    target: async () => guest.target,
    died: new Promise(() => {}),
  });
});
afterEach(async () => {
  await runner.close();
  await guest.close();
});

const run = (command: string | readonly string[], options?: RunOptions) =>
  new Run(async () => ({ runner, vm: { id: "vm-test", name: "test" } }), command, {
    timeout: 60,
    ...options,
  });

const abortsOf = (error: unknown) => {
  if (error instanceof OperationAbortedError) return "aborted";
  throw error;
};

describe("a command that is aborted while it connects", () => {
  it("takes nobody with it who comes at the same moment", async () => {
    guest.behaviour.deafConnections = 1000;
    const controller = new AbortController();
    const aborted = run("echo never", { signal: controller.signal }).catch(abortsOf);
    await eventually(() => guest.seen.connectionsMade > 1, "it tries");
    controller.abort();
    guest.behaviour.deafConnections = 0;
    expect((await run("echo here")).output).toBe("here");
    expect(await aborted).toBe("aborted");
  });
});

describe("commands that are aborted at any moment", () => {
  it("give their places back, on a server that lets us have few", { timeout: 120_000 }, async () => {
    guest.behaviour.mostChannels = 3;
    const seed = chooseSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 4; round++) {
      const runs = Array.from({ length: 24 }, async (_, i) => {
        await sleep(random(60));
        const controller = new AbortController();
        if (i % 3) setTimeout(() => controller.abort(), random(250));
        const pause = i % 3 ? "sleep 86481" : "sleep 0.01";
        const end = run(`${pause}; echo ${i}`, { signal: controller.signal, shell: i % 2 ? "raw" : "login" });
        return await end.then(({ output }) => output, abortsOf);
      });
      const expected = runs.map((_, i) => (i % 3 ? "aborted" : String(i)));
      expect(await Promise.all(runs), `seed ${seed}, round ${round}`).toEqual(expected);
    }
    expect((await run("echo next")).output).toBe("next");
    await eventually(() => guest.processes.count("sleep 86481") === 0, `none of them is left, seed ${seed}`);
  });
});
