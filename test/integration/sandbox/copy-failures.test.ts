import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { copyMachine } from "../../../src/sandbox/snapshot/copy.ts";
import { diskLayer, machinePaths } from "../../../src/state/paths.ts";
import { runMachine } from "../../support/running-machine.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

/** The one that is to receive the copy: it takes a moment to be ended. */
vi.mock("../../../src/qemu/machine.ts", () => ({
  launchMachine: async () => ({ kill: () => sleep(50) }),
}));

let folder: StateFolder;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const died = async () => Promise.reject(new Error("QEMU has ended"));

/** One whose copies fail as they begin. */
const mortal = () =>
  runMachine(folder, {
    qemu: {
      offerLayer: () => ({ opened: Promise.resolve(), settle: died }),
      copyInto: () => ({ result: died(), settled: Promise.resolve() }),
      runState: died,
    },
    setup: {
      choice: { accelerator: "tcg" },
      files: { disk: null },
      qemu: { features: { cloning: true, vmgenid: true } },
    },
  });

it("a copy whose source dies is one error, that of its caller, and none of the program", async () => {
  const machine = await mortal();
  await writeFile(diskLayer(machinePaths(folder.state, "box").folder, 0), "");
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  try {
    await expect(copyMachine(machine, "snapshot", { timeoutMs: 5_000 })).rejects.toThrow("QEMU has ended");
    expect(machine.copying).toBeNull();
    await sleep(20);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
  expect(unhandled).not.toHaveBeenCalled();
});

it("a copy has one time for all that it waits for and does", async () => {
  const machine = await mortal();
  let isOver = false;
  /** One after the other, each of them shorter than that. */
  const others = async (): Promise<void> => {
    await sleep(100);
    machine.copying = isOver ? null : others();
  };
  machine.copying = others();
  await expect(copyMachine(machine, "snapshot", { timeoutMs: 1_000 })).rejects.toMatchObject({
    code: "OPERATION_TIMEOUT",
    message: 'Copying machine "box" did not finish within 1 s',
  });
  isOver = true;
});
