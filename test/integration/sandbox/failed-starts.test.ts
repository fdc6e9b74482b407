import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationTimeoutError } from "../../../src/errors.ts";
import { launchMachine } from "../../../src/qemu/machine.ts";
import type { Machine } from "../../../src/sandbox/machine.ts";
import { newMachine } from "../../../src/sandbox/new-machine.ts";
import { obtainTemplate } from "../../../src/sandbox/obtain-template.ts";
import { parseSpec } from "../../../src/sandbox/spec.ts";
import { startMachine } from "../../../src/sandbox/start.ts";
import { removeMachine, stopMachine } from "../../../src/sandbox/stop.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

vi.mock("../../../src/qemu/machine.ts");
vi.mock("../../../src/sandbox/obtain-template.ts");
vi.mock("../../../src/qemu/binary.ts", () => ({
  findQemu: async () => ({ path: "/bin/qemu", features: { version: "7.2", cloning: true, vmgenid: true } }),
}));

let folder: StateFolder;
/** Whether QEMU can be ended, how often one was launched, and whether the machine's files were there when it was ended. */
let qemu: { canEnd: boolean; launches: number; hadFiles: boolean };
let machine: Machine;

beforeEach(async () => {
  folder = await useStateFolder();
  await storeImage(folder.state, "tiny", "1");
  qemu = { canEnd: false, launches: 0, hadFiles: false };
  machine = newMachine(parseSpec({ name: "box", image: "tiny", accelerator: "tcg" }), {}, null);
  vi.mocked(obtainTemplate).mockResolvedValue({ whyCold: "there is none" });
  vi.mocked(launchMachine).mockImplementation(async (_description, { onSpawned }) => {
    const process = stuck();
    onSpawned?.(process);
    await process.kill(); // as where it does not answer
    throw new Error("it did not answer");
  });
});
afterEach(() => folder[Symbol.asyncDispose]());

function stuck() {
  qemu.launches++;
  return {
    pid: process.pid,
    exit: null as never,
    async kill() {
      if (!qemu.canEnd) throw new OperationTimeoutError("Ending process 42", 30);
      qemu.hadFiles = isThere();
      Object.assign(this, { exit: { exitCode: null, signal: "SIGKILL", reason: "It was ended." } });
    },
  };
}

const isThere = () => existsSync(join(folder.state.machines, "box"));
const fails = (work: Promise<void>) => expect(work).rejects.toThrow("Ending process 42");

describe("a first start whose QEMU can't be ended", () => {
  it("keeps its files, and is over when it can", async () => {
    await fails(startMachine(machine));
    expect([machine.status.phase, isThere()]).toEqual(["error", true]);
    expect(machine.status.reason).toBe(`its QEMU (pid ${process.pid}) could not be ended`);
    await fails(removeMachine(machine));
    expect(isThere()).toBe(true);
    qemu.canEnd = true;
    await removeMachine(machine);
    expect([isThere(), qemu.hadFiles, qemu.launches]).toEqual([false, true, 1]);
  });

  it("is not begun a second time until it is ended, and then from nothing", async () => {
    await fails(startMachine(machine));
    await fails(startMachine(machine));
    await fails(stopMachine(machine));
    expect([machine.status.phase, qemu.launches]).toEqual(["error", 1]);
    const left = join(folder.state.machines, "box", "left");
    await writeFile(left, "");
    qemu.canEnd = true;
    vi.mocked(launchMachine).mockImplementation(() => {
      expect([isThere(), existsSync(left)]).toEqual([true, false]);
      throw new Error("it came so far");
    });
    await expect(startMachine(machine)).rejects.toThrow("it came so far");
    expect([machine.status.phase, isThere()]).toEqual(["created", false]);
  });

  it("is not gone on with in another way, as a clone's is otherwise", async () => {
    const saved = join(folder.state.home, "saved");
    await writeFile(saved, "");
    const paths = { state: saved, memory: saved };
    vi.mocked(obtainTemplate).mockResolvedValue({ paths, record: { state: { bytes: 0 } } } as never);
    await expect(startMachine(machine)).rejects.toThrow();
    expect([machine.status.phase, isThere(), qemu.launches]).toEqual(["error", true, 1]);
    qemu.canEnd = true;
    await removeMachine(machine);
  });
});
