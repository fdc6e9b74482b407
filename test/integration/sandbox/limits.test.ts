import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { watchLifetime } from "../../../src/sandbox/lifecycle/limits.ts";
import type { Booted, Machine } from "../../../src/sandbox/machine/machine.ts";
import type { MachineSpec } from "../../../src/sandbox/machine/spec.ts";
import { eventually } from "../../support/eventually.ts";
import { runMachine } from "../../support/running-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let exit = () => {};
/** What the fake QEMU and the fake connection say. */
let seen: { connections: number; idleMs: number; rests: number };

beforeEach(async () => {
  folder = await useStateFolder();
  seen = { connections: 0, idleMs: 1e6, rests: 0 };
});
afterEach(async () => {
  exit();
  await folder[Symbol.asyncDispose]();
});

async function run(spec: Partial<MachineSpec>): Promise<Machine> {
  const exited = new Promise<void>((resolve) => {
    exit = resolve;
  });
  const end = async () => exit();
  const qemu = {
    pid: process.pid,
    exited,
    countConnections: async () => seen.connections,
    shutdown: end,
    kill: end,
  };
  const runner = {
    get idleMs() {
      return seen.idleMs;
    },
    rest: async () => void seen.rests++,
    close: async () => {},
  };
  const machine = await runMachine(folder, { qemu, runner }, spec);
  watchLifetime(machine, machine.booted as Booted);
  return machine;
}

const stopped = (machine: Machine, timeoutMs = 3_000) =>
  eventually(() => machine.status.phase === "stopped", "it was stopped", timeoutMs);

describe("a machine that may run for so long", () => {
  it("is stopped then, where it is persistent, and says why", async () => {
    const machine = await run({ ttlMs: 200 });
    await sleep(100);
    expect(machine.status.phase).toBe("running");
    await stopped(machine);
    expect(machine.status.reason).toBe("it has run for 0.2 s, as long as it may");
  });

  it("is deleted then, where it is ephemeral", async () => {
    const machine = await run({ ttlMs: 100, persistent: false });
    await eventually(() => machine.folder === null, "it was deleted");
    expect(machine.status.phase).toBe("deleted");
    expect(machine.status.reason).toContain("as long as it may");
  });

  it("is left alone where it has ended before", async () => {
    const machine = await run({ ttlMs: 100 });
    exit();
    machine.booted = null;
    await sleep(250);
    expect(machine.status.phase).toBe("running");
  });
});

describe("a machine that may stand idle for so long", () => {
  it("is stopped when nobody was connected for as long", async () => {
    const machine = await run({ idleTimeoutMs: 400 });
    await stopped(machine);
    expect(machine.status.reason).toBe("nobody has used it for 0.4 s, as long as it may stand idle");
    expect(seen.rests).toBeGreaterThan(0);
  });

  it.each<[string, () => void, (machine: Machine) => void]>([
    ["a connection stands", () => Object.assign(seen, { connections: 1 }), () => {}],
    ["a command runs", () => Object.assign(seen, { idleMs: 0 }), () => {}],
    ["it is paused", () => {}, (machine) => machine.status.change("paused", "pause")],
    ["it is copied", () => {}, (machine) => Object.assign(machine, { copying: Promise.resolve() })],
  ])("goes on while %s, and idles from then on", async (_, use, begin) => {
    use();
    const machine = await run({ idleTimeoutMs: 1_200 }); // a busy computer may look late
    begin(machine);
    await sleep(2_000);
    expect(["running", "paused"]).toContain(machine.status.phase);
    Object.assign(seen, { connections: 0, idleMs: 1e6 });
    Object.assign(machine, { copying: null });
    if (machine.status.phase === "paused") machine.status.change("running", "resume");
    const since = performance.now();
    await stopped(machine);
    expect(performance.now() - since).toBeGreaterThan(150);
  });

  it("keeps a connection that a command has just used", async () => {
    seen.idleMs = 1;
    const machine = await run({ idleTimeoutMs: 10_000 });
    await sleep(300);
    expect(seen.rests).toBe(0);
    expect(machine.status.phase).toBe("running");
  });
});
