import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VMStateError } from "../../../src/errors.ts";
import { pauseMachine } from "../../../src/sandbox/lifecycle/pause.ts";
import { stopMachine } from "../../../src/sandbox/lifecycle/stop.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { runMachine } from "../../support/running-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
/** What QEMU was asked to do, and what it says of its guest. */
let qemu: { asked: string[]; word: string };
beforeEach(async () => {
  folder = await useStateFolder();
  qemu = { asked: [], word: "paused" };
});
afterEach(() => folder[Symbol.asyncDispose]());

function run(): Promise<Machine> {
  const states = { running: "running", paused: "paused", "io-error": "failed" };
  return runMachine(folder, {
    qemu: {
      pid: process.pid,
      runState: async () => ({ word: qemu.word, state: Object(states)[qemu.word] }),
      pause: async () => void qemu.asked.push("pause"),
      shutdown: async () => void qemu.asked.push("shutdown"),
    },
  });
}

describe("pause()", () => {
  it("is done where QEMU says so", async () => {
    const machine = await run();
    await pauseMachine(machine);
    expect(machine.status.phase).toBe("paused");
  });

  it.each([
    ["has failed", "io-error", "error", /it is in error \(QEMU has stopped its guest: io-error\)/],
    ["goes on", "running", "running", /was let go on at once/],
  ])("is refused where its guest %s", async (_, word, phase, message) => {
    qemu.word = word;
    const machine = await run();
    const pausing = pauseMachine(machine);
    await expect(pausing).rejects.toBeInstanceOf(VMStateError);
    await expect(pausing).rejects.toThrow(message);
    expect(machine.status.phase).toBe(phase);
  });
});

describe("while one copy after the other is made of a machine", () => {
  /** The next one begins as soon as the one before is over, as it does where both were asked for at once. */
  function copyTwice(machine: Machine): { end(): void } {
    let endFirst: () => void = () => {};
    let endSecond = () => {};
    const first = new Promise<void>((resolve) => {
      endFirst = resolve;
    });
    machine.copying = first.then(() => {
      machine.copying = null;
    });
    void machine.copying.then(() => {
      machine.copying = new Promise<void>((resolve) => {
        endSecond = resolve;
      }).then(() => {
        machine.copying = null;
      });
    });
    setTimeout(() => endFirst(), 10);
    return { end: () => endSecond() };
  }

  it.each([
    ["stop()", (machine: Machine) => stopMachine(machine), "shutdown"],
    ["pause()", pauseMachine, "pause"],
  ])("%s waits for both", async (_, change, asked) => {
    const machine = await run();
    const copies = copyTwice(machine);
    const changing = change(machine);
    await sleep(30);
    expect(qemu.asked).toEqual([]);
    copies.end();
    await changing;
    expect(qemu.asked).toEqual([asked]);
  });
});
