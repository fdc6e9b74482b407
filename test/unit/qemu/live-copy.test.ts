import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError, SmolVMError } from "../../../src/errors.ts";
import { type OfferedLayer, offerLayer } from "../../../src/qemu/freeze.ts";
import { type CopyEnd, copyLive, type LiveCopyOptions } from "../../../src/qemu/live-copy.ts";
import { fakeTarget, type ModelOptions, QemuModel } from "../../support/qemu-model.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-copy-"));
});
afterEach(() => {
  expect(readdirSync(folder)).toEqual([]);
  rmSync(folder, { recursive: true });
});

const OPTIONS = { standsStill: true, timeoutMs: 5_000, goesOn: () => true };
const OVERLAY = { path: "/vms/box/disk-1.qcow2", durable: true };

const STEPS = [
  ...["migrate-set-capabilities", "migrate-set-parameters", "stop", "migrate"],
  ...["query-block", "blockdev-snapshot", "migrate-continue", "cont"],
];

interface Copied {
  readonly source: CopyEnd;
  readonly layer: OfferedLayer;
  readonly result: Promise<number>;
  readonly settled: Promise<void>;
}

async function copy(
  model: QemuModel,
  options: Partial<LiveCopyOptions> = {},
  target?: CopyEnd,
): Promise<Copied> {
  const source = await model.end();
  const layer = offerLayer(source.qmp, OVERLAY);
  await layer.opened;
  const live = { ...OPTIONS, folder, atPause: () => layer.freeze(), ...options };
  return { source, layer, ...copyLive(source, target ?? (await fakeTarget()), live) };
}

/** The guest runs where it ran before, no migration goes on, and of the layer QEMU says what is true. */
async function expectUnharmed(model: QemuModel, { layer, settled }: Copied): Promise<void> {
  await settled;
  expect(model.state).toBe("running");
  expect(["none", "completed", "cancelled", "failed"]).toContain(model.migration);
  const hasSwitched = model.top !== "disk0";
  expect(await layer.settle()).toBe(hasSwitched ? "in use" : "free");
  expect(model.nodes).toEqual(new Set(hasSwitched ? ["disk0", model.top] : ["disk0"]));
  const { length } = model.heard;
  await sleep(30);
  expect(model.heard).toHaveLength(length); // nothing is asked of it any more
}

describe("a copy that is aborted", () => {
  it.each(STEPS.flatMap((step) => [[step, "begun"] as const, [step, "answered"] as const]))(
    "just as %s was %s leaves a guest that runs",
    async (step, moment) => {
      const abort = new AbortController();
      const onStep = (command: string) => command === step && abort.abort();
      const model = new QemuModel(moment === "begun" ? { onBegun: onStep } : { onAnswered: onStep });
      const copied = await copy(model, { signal: abort.signal });
      await expect(copied.result).rejects.toBeInstanceOf(OperationAbortedError);
      expect(model.state).toBe("running");
      await expectUnharmed(model, copied);
    },
  );

  it("before it began, or while the other machine hangs, is over at once", async () => {
    for (const signal of [AbortSignal.abort(), AbortSignal.timeout(50)]) {
      const model = new QemuModel();
      const calledMs = performance.now();
      const copied = await copy(model, { signal }, await fakeTarget(true));
      await expect(copied.result).rejects.toThrow(OperationAbortedError);
      expect(performance.now() - calledMs).toBeLessThan(1_000);
      expect(model.heard).not.toContain("stop");
      await expectUnharmed(model, copied);
    }
  });
});

/** QEMU stands still once, as it comes to that command or has done it but not answered. */
function stalls(step: string, moment: "before" | "after", ms: number): ModelOptions {
  let isOver = false;
  const stall = async (command: string) => {
    if (command !== step || isOver) return;
    isOver = true;
    await sleep(ms);
  };
  return moment === "before" ? { onBegun: stall } : { onDone: stall };
}

const STALLS = STEPS.flatMap((step) => [[step, "before"] as const, [step, "after"] as const]);

describe("a copy of a machine whose QEMU is slow", () => {
  it.each(STALLS)(
    "at %s, %s it does it, and that is aborted meanwhile, leaves a guest that runs",
    async (...at) => {
      const model = new QemuModel(stalls(...at, 120));
      const copied = await copy(model, { signal: AbortSignal.timeout(60) });
      await expect(copied.result).rejects.toBeInstanceOf(OperationAbortedError);
      await expectUnharmed(model, copied);
    },
  );

  it.each(STALLS)(
    "at %s, %s it does it, and whose time runs out meanwhile, leaves a guest that runs",
    async (...at) => {
      const model = new QemuModel(stalls(...at, 120));
      const copied = await copy(model, { timeoutMs: 60 });
      await expect(copied.result).rejects.toMatchObject({ code: "SAVE" });
      await expectUnharmed(model, copied);
    },
  );

  it("for longer than the caller waits says so, and is undone as soon as it answers", async () => {
    const model = new QemuModel(stalls("blockdev-snapshot", "before", 3_000));
    const copied = await copy(model, { timeoutMs: 200 });
    await expect(copied.result).rejects.toThrow(
      "freezing the disk failed: Copying the machine did not finish within 0.2 s; its QEMU does not answer, and goes on by itself as soon as it does.",
    );
    expect(model.top).toBe("disk0");
    await expectUnharmed(model, copied);
    expect(model.top).not.toBe("disk0"); // it did what nobody waited for any more
  }, 15_000);

  it("and that ends then tells nothing of the layer that it was to switch to", async () => {
    const model = new QemuModel(stalls("blockdev-snapshot", "after", 400));
    const copied = await copy(model, { timeoutMs: 200 });
    setTimeout(() => copied.source.qmp.close(), 250);
    await expect(copied.result).rejects.toBeInstanceOf(SmolVMError);
    await copied.settled;
    await expect(copied.layer.settle()).rejects.toMatchObject({ phase: "connection" });
  });
});

describe("a copy that fails", () => {
  it.each(STEPS.slice(0, -1))(
    "because QEMU refuses %s leaves a guest that runs, at once",
    async (refused) => {
      const model = new QemuModel({ refused });
      const calledMs = performance.now();
      const copied = await copy(model);
      await expect(copied.result).rejects.toBeInstanceOf(SmolVMError);
      expect(performance.now() - calledMs).toBeLessThan(3_000); // the other machine's last words are waited for
      await expectUnharmed(model, copied);
    },
  );
});

describe("a layer that QEMU was asked to open", () => {
  it("and refused is free, and nothing more is asked of it", async () => {
    const model = new QemuModel({ refused: "blockdev-add" });
    const { qmp } = await model.end();
    const layer = offerLayer(qmp, OVERLAY);
    await expect(layer.opened).rejects.toMatchObject({ phase: "command" });
    expect(await layer.settle()).toBe("free");
    expect(model.heard).toEqual(["blockdev-add"]);
  });

  it("is free only when QEMU has closed it, however late it opens it", async () => {
    const model = new QemuModel(stalls("blockdev-add", "before", 300));
    const { qmp } = await model.end();
    expect(await offerLayer(qmp, OVERLAY).settle()).toBe("free");
    expect(model.heard).toEqual(["blockdev-add", "blockdev-del"]);
  });

  it("stays in use where QEMU refuses to close it", async () => {
    const model = new QemuModel({ refused: "blockdev-del" });
    const { qmp } = await model.end();
    expect(await offerLayer(qmp, OVERLAY).settle()).toBe("in use");
  });
});
