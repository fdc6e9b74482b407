import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BootError, OperationAbortedError, SmolVMError } from "../../../src/errors.ts";
import { launchMachine, type QemuMachine } from "../../../src/qemu/machine.ts";
import { eventually } from "../../support/eventually.ts";
import { fakeMachine, fakeOptions } from "./fake-qemu.ts";

const IDENTITY = { hostname: "swift-otter", machineId: "0123456789abcdef0123456789abcdef", wasInUse: false };

let folder = "";
let statePath = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-save-"));
  statePath = join(folder, "state");
});
afterEach(() => rmSync(folder, { recursive: true }));

async function withMachine<T>(script: string, body: (machine: QemuMachine) => Promise<T>): Promise<T> {
  const machine = await launchMachine(fakeMachine(script), fakeOptions());
  return await body(machine).finally(() => machine.kill());
}

async function restored<T>(
  name: string,
  body: (machine: QemuMachine) => Promise<T>,
  timeoutMs = 10_000,
): Promise<T> {
  writeFileSync(statePath, "the saved state");
  const file = await open(statePath, "r");
  const saved = { fd: file.fd, leavesMemoryOut: true };
  try {
    const options = fakeOptions({ saved, timeoutMs });
    const machine = await launchMachine({ ...fakeMachine("none"), name }, options);
    return await body(machine).finally(() => machine.kill());
  } finally {
    await file.close();
  }
}

describe("saving a machine", () => {
  it("writes what QEMU gives into the file, and nothing else is left", async () => {
    await withMachine("ready", (machine) => machine.save({ statePath, timeoutMs: 10_000 }));
    expect(readFileSync(statePath, "utf8")).toBe("the state");
    expect(readdirSync(folder)).toEqual(["state"]);
  });

  it.each([
    ["saves by halves", "writing the state failed: QEMU ended with exit code 1: it said nothing."],
    ["saves nothing", "writing the state failed: QEMU wrote nothing."],
    ["fails to save", "writing the state failed: QEMU says that the migration is failed: no luck."],
    ["dies as it saves", "writing the state failed: QEMU was ended by SIGKILL."],
    ["says that it saved", "writing the state failed: Saving the machine did not finish within 1 s."],
    ["saves for ever", "writing the state failed: Saving the machine did not finish within 1 s."],
  ])("that %s is an error that says during what, and leaves no file", async (script, words) => {
    await withMachine(script, async (machine) => {
      const error = await machine.save({ statePath, timeoutMs: 1_000 }).catch((failure) => failure);
      expect(error).toBeInstanceOf(SmolVMError);
      expect(error).toMatchObject({ code: "SAVE", details: { step: "writing the state", statePath } });
      expect(error.message).toBe(`The machine could not be saved: ${words}`);
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("to a folder that is not there is an error before anything was asked of QEMU", async () => {
    await withMachine("ready", async (machine) => {
      const saving = machine.save({ statePath: join(folder, "no", "state"), timeoutMs: 1_000 });
      await expect(saving).rejects.toMatchObject({ details: { step: "making the socket" } });
    });
  });

  it("ends when it is aborted, and can be tried again", async () => {
    await withMachine("saves for ever", async (machine) => {
      const signal = AbortSignal.timeout(100);
      const saving = machine.save({ statePath, timeoutMs: 10_000, signal });
      await expect(saving).rejects.toBeInstanceOf(OperationAbortedError);
      expect(readdirSync(folder)).toEqual([]);
    });
  });

  it("works below a path that is too long for a socket", async () => {
    const deep = join(folder, "deep".repeat(30));
    mkdirSync(deep);
    await withMachine("ready", (machine) =>
      machine.save({ statePath: join(deep, "state"), timeoutMs: 10_000 }),
    );
    expect(readdirSync(deep)).toEqual(["state"]);
  });
});

describe("restoring a machine", () => {
  it("hands the state's file down to QEMU, and knows its port", async () => {
    await restored("fine", async (machine) => {
      expect(machine.sshPort).toBe(40022);
      await eventually(() => machine.console.tail.includes("state: the saved state\n"), "the state was read");
    });
  });

  it.each([
    [
      "refuses the state",
      "The saved machine could not be restored: load of migration failed: Invalid argument.",
    ],
    ["dies as it restores", "QEMU was ended by SIGKILL."],
    [
      "restores for ever",
      "The saved machine could not be restored: Restoring the machine did not finish within 1 s.",
    ],
  ])("that %s is a BootError that says so", async (name, message) => {
    const error = await restored(name, async () => undefined, 1_000).catch((failure) => failure);
    expect(error).toBeInstanceOf(BootError);
    expect(error.message).toBe(message);
  });
});

describe("a restored guest", () => {
  it.each(["fine", "torn answer", "late answer", "slow answers"])(
    "that is told who it is, with %s, has answered",
    async (name) => {
      await restored(name, async (machine) => {
        await machine.goOnAs(IDENTITY, { timeoutMs: 10_000 });
        expect(machine.console.tail).toContain("reseeded");
        expect(await machine.shutdown({ timeoutMs: 10_000 })).toBe("guest"); // it is known to listen
      });
    },
  );

  it.each([
    ["wrong answers", 'The guest did not say "identity" within 1.5 s.'],
    ["fails to become", "The guest could not start: no clock."],
    [
      "notices nothing",
      "The guest's kernel did not say that it has other random numbers than the machine it is a copy of.",
    ],
  ])("with %s is a BootError", async (name, message) => {
    await restored(name, async (machine) => {
      const answering = machine.goOnAs(IDENTITY, { timeoutMs: 1_500 });
      await expect(answering).rejects.toThrow(message);
    });
  });
});

describe("a guest that is asked", () => {
  it("whether it is ready answers, where the kernel tore its first word apart", async () => {
    await withMachine("torn ready", (machine) => machine.waitReady({ timeoutMs: 20_000 }));
  });

  it.each(["ready", "torn quiet"])("to come to rest says when it has (%s)", async (script) => {
    await withMachine(script, (machine) => machine.waitQuiet(0, { timeoutMs: 10_000 }));
  });

  it("to come to rest, and does not, is a BootError", async () => {
    await withMachine("restless", async (machine) => {
      await expect(machine.waitQuiet(0, { timeoutMs: 200 })).rejects.toBeInstanceOf(BootError);
    });
  });
});
