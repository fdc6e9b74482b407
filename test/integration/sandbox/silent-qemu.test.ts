import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import { startMachine } from "../../../src/sandbox/lifecycle/start.ts";
import { stopMachine } from "../../../src/sandbox/lifecycle/stop.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { runMachine } from "../../support/running-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
/** What QEMU was given to end. */
let shutdownMs: number[];
beforeEach(async () => {
  folder = await useStateFolder();
  shutdownMs = [];
});
afterEach(() => folder[Symbol.asyncDispose]());

const never = () => new Promise<never>(() => {});

/** A signal has stopped its QEMU: it answers nothing but what is given. */
function halted(answers: object = {}): Promise<Machine> {
  const qemu = {
    pid: process.pid,
    runState: never,
    resume: never,
    answers: async () => false,
    kill: never,
    shutdown: async ({ timeoutMs }: { timeoutMs: number }) => void shutdownMs.push(timeoutMs),
    ...answers,
  };
  return runMachine(folder, { qemu, runner: { close: never } });
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return performance.now() - beganMs;
}

const isPaused = { runState: async () => ({ word: "paused", state: "paused" }) };
const hasFailed = { runState: async () => ({ word: "io-error", state: "failed" }), resume: async () => {} };

describe("start() of a machine whose QEMU keeps silent", () => {
  it.each([
    ["says nothing at all", {}, /does not answer/],
    ["does not let its guest go on", isPaused, /does not answer/],
    ["has given up its guest, and can't be ended", hasFailed, /Starting machine "box" did not .* 0\.3 s/],
  ])("ends in the caller's time where it %s", async (_, answers, message) => {
    const machine = await halted(answers);
    const start = () => expect(startMachine(machine, { timeout: 0.3 })).rejects.toThrow(message);
    expect(await msOf(start)).toBeLessThan(5_000);
  });

  it("ends in the caller's time where another start is under way, and one of before can't be ended", async () => {
    const machine = await halted();
    machine.booted = null;
    machine.starting = never();
    const start = () =>
      expect(startMachine(machine, { timeout: 0.3 })).rejects.toBeInstanceOf(OperationTimeoutError);
    expect(await msOf(start)).toBeLessThan(5_000);
    machine.unended = { qemu: { kill: never } } as unknown as Machine["unended"];
    expect(await msOf(start)).toBeLessThan(5_000);
  });

  it("ends when it is aborted; a signal that was aborted before belongs to what is over", async () => {
    const abort = new AbortController();
    const machine = await halted();
    setTimeout(() => abort.abort(), 50);
    const start = () =>
      expect(startMachine(machine, { signal: abort.signal })).rejects.toBeInstanceOf(OperationAbortedError);
    expect(await msOf(start)).toBeLessThan(5_000);
    const sound = await halted({ runState: async () => ({ word: "running", state: "running" }) });
    await startMachine(sound, { signal: AbortSignal.abort() });
  });
});

describe("stop() of a machine whose QEMU keeps silent", () => {
  it("leaves its guest what its connections have left of the caller's time", async () => {
    const machine = await halted();
    expect(await msOf(() => stopMachine(machine, { timeout: 0.4 }))).toBeLessThan(5_000);
    expect(shutdownMs).toEqual([expect.any(Number)]);
    expect(shutdownMs[0]).toBeLessThan(300);
  });

  it("leaves its guest nothing where a copy of it has taken all of the caller's time", async () => {
    const machine = await halted();
    machine.copying = never();
    expect(await msOf(() => stopMachine(machine, { timeout: 0.4 }))).toBeLessThan(5_000);
    expect(shutdownMs).toEqual([1]);
  });
});
