import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OperationTimeoutError } from "../../../src/errors.ts";
import { newMachine } from "../../../src/sandbox/holder/new-machine.ts";
import { startMachine } from "../../../src/sandbox/lifecycle/start.ts";
import type { Machine } from "../../../src/sandbox/machine/machine.ts";
import { parseSpec } from "../../../src/sandbox/machine/spec.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

const BUILD_MS = 2_000;
let isBuilt = false;
let folder: StateFolder;

/** One that never says what it can do. */
vi.mock("../../../src/qemu/binary.ts", () => ({ findQemu: () => new Promise(() => {}) }));
vi.mock("../../../src/image/build.ts", () => ({
  async buildImage() {
    await sleep(BUILD_MS);
    isBuilt = true;
    return storeImage(folder.state, "debian", "1");
  },
}));

beforeEach(async () => {
  isBuilt = false;
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const machine = (): Machine => newMachine(parseSpec({ name: "box" }), {}, null);

async function expectLate(starting: Promise<void>, seconds: number): Promise<void> {
  const error = await starting.catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(OperationTimeoutError);
  expect(error).toMatchObject({ message: `Starting machine "box" did not finish within ${seconds} s` });
}

describe("the time that a start has", () => {
  it("is for what comes before the boot too, as finding a QEMU", async () => {
    await storeImage(folder.state, "debian", "1");
    await expectLate(startMachine(machine(), { timeout: 0.2 }), 0.2);
  });

  it("is less by what was spent before", async () => {
    await storeImage(folder.state, "debian", "1");
    await expectLate(startMachine(machine(), { timeout: 3_600 }, 3_599_900), 3_600);
  });

  it("is not for an image that has to be built first", async () => {
    await expectLate(startMachine(machine(), { timeout: 1 }), 1);
    expect(isBuilt).toBe(true);
  });
});
