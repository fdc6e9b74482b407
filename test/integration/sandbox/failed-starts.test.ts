import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BootError, OperationTimeoutError } from "../../../src/errors.ts";
import { launchMachine } from "../../../src/qemu/machine.ts";
import { newMachine } from "../../../src/sandbox/holder/new-machine.ts";
import { startMachine } from "../../../src/sandbox/lifecycle/start.ts";
import { removeMachine, stopMachine } from "../../../src/sandbox/lifecycle/stop.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import { obtainTemplate } from "../../../src/sandbox/template/obtain-template.ts";
import { diskBase, diskLayer, machinePaths } from "../../../src/state/paths.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

vi.mock("../../../src/qemu/machine.ts");
vi.mock("../../../src/sandbox/template/obtain-template.ts");
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
    await process.kill().catch(() => {}); // as where it does not answer
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
const fails = (work: Promise<void>, why = "Ending process 42") => expect(work).rejects.toThrow(why);

describe("a first start whose QEMU can't be ended", () => {
  it("keeps its files, and is over when it can", async () => {
    await fails(startMachine(machine), "it did not answer");
    expect([machine.status.phase, isThere()]).toEqual(["error", true]);
    expect(machine.status.reason).toBe(`its QEMU (pid ${process.pid}) could not be ended`);
    await fails(removeMachine(machine));
    expect(isThere()).toBe(true);
    qemu.canEnd = true;
    await removeMachine(machine);
    expect([isThere(), qemu.hadFiles, qemu.launches]).toEqual([false, true, 1]);
  });

  it("is not begun a second time until it is ended, and then from nothing", async () => {
    await fails(startMachine(machine), "it did not answer");
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

  it("of a persistent machine is begun from nothing too, but keeps what its supervisor is found by", async () => {
    machine = newMachine(
      parseSpec({ name: "box", image: "tiny", accelerator: "tcg", persistent: true }),
      {},
      null,
    );
    await fails(startMachine(machine), "it did not answer");
    const { folder: path, lock, control } = machinePaths(folder.state, "box");
    const disks = [diskLayer(path, 0), diskLayer(path, 1), diskBase(path)];
    for (const left of [lock, control, ...disks]) await writeFile(left, "");
    qemu.canEnd = true;
    vi.mocked(launchMachine).mockImplementation(() => {
      expect([lock, control, ...disks].map(existsSync)).toEqual([true, true, false, false, false]);
      throw new Error("it came so far");
    });
    await fails(startMachine(machine), "it came so far");
  });

  it("tells what went wrong first, and is not tried a second time", async () => {
    const seen = { commandLine: "qemu", qemuOutput: "", consoleTail: "Kernel panic" };
    vi.mocked(launchMachine).mockImplementation(async (_description, { onSpawned }) => {
      const process = stuck();
      onSpawned?.(process);
      const waitReady = () => Promise.reject(new BootError("its guest panicked", seen));
      return Object.assign(process, { waitReady }) as never;
    });
    await fails(startMachine(machine), "its guest panicked");
    expect([machine.status.phase, qemu.launches]).toEqual(["error", 1]);
    qemu.canEnd = true;
    await removeMachine(machine);
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
