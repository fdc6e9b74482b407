import { readdirSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { OperationAbortedError, OperationTimeoutError, SmolVM } from "../../src/index.ts";
import { QmpClient } from "../../src/qemu/qmp/client.ts";
import { queryStatus } from "../../src/qemu/qmp/status.ts";
import { listLayers } from "../../src/state/disk-layers.ts";
import { machinePaths } from "../../src/state/paths.ts";
import { generateName } from "../../src/util/names.ts";
import { eventually } from "../support/eventually.ts";
import { pidOf } from "../support/machines.ts";
import { clearAfterFailures } from "../support/own-machines.ts";
import { type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(() => home[Symbol.asyncDispose]());
const own = clearAfterFailures();
afterEach(() => vi.restoreAllMocks());

/** With a disk: the image "tiny" has none. */
const create = () => own(SmolVM.create({ image: "debian", name: generateName(), accelerator: "tcg" }));

type Send = QmpClient["send"];

/** What is done with each command that goes to QEMU, before it goes there. */
function beforeEachCommand(hear: (qmp: QmpClient, command: string) => void): void {
  const send: Send = QmpClient.prototype.send;
  vi.spyOn(QmpClient.prototype, "send").mockImplementation(function (this: QmpClient, command, args) {
    hear(this, command);
    return send.call(this, command, args);
  });
}

async function qmpOf(vm: SmolVM): Promise<QmpClient> {
  let found: QmpClient | undefined;
  beforeEachCommand((qmp, command) => {
    if (command === "query-status") found = qmp;
  });
  await vm.info();
  vi.restoreAllMocks();
  if (!found) throw new Error("its QEMU was not asked");
  return found;
}

/** From now on QEMU is stopped by a signal, once, as it is asked for that, and for so long. Gives whether it has been. */
async function slowAt(
  vm: SmolVM,
  wanted: string,
  ms: number,
  onCommand: (command: string) => void = () => {},
): Promise<() => boolean> {
  const [pid, own] = [await pidOf(vm), await qmpOf(vm)];
  let wasSlow = false;
  beforeEachCommand((qmp, command) => {
    if (qmp !== own) return;
    onCommand(command);
    if (command !== wanted || wasSlow) return;
    wasSlow = true;
    process.kill(pid, "SIGSTOP");
    setTimeout(() => process.kill(pid, "SIGCONT"), ms);
  });
  return () => wasSlow;
}

async function note(vm: SmolVM, word: string): Promise<void> {
  await vm.run(`echo ${word} > /root/${word}; sync`, { check: true });
}

async function notes(vm: SmolVM): Promise<string[]> {
  return (await vm.run("ls /root", { check: true })).output.split("\n");
}

const layersOf = (vm: SmolVM) => listLayers(machinePaths(home.state, vm.name).folder);
const drafts = () => readdirSync(home.state.snapshots).filter((name) => name.startsWith("."));

const STEPS = [
  ...["blockdev-add", "migrate-set-capabilities", "migrate-set-parameters", "stop", "migrate"],
  ...["query-block", "blockdev-snapshot", "migrate-continue", "cont"],
];
const UNDOING = ["query-migrate", "migrate_cancel", "query-status"];

describe("a machine whose QEMU stands still while it is copied", () => {
  it("goes on, whatever QEMU was asked for as the copy was aborted, and keeps all that was synced", async () => {
    const vm = await create();
    const qmp = await qmpOf(vm);
    const words: string[] = [];
    for (const step of [...STEPS, ...UNDOING]) {
      const abort = new AbortController();
      const wasSlow = await slowAt(vm, step, 1_500, (command) => {
        // What is only asked to undo a copy needs one that is aborted before.
        if (command === step) setTimeout(() => abort.abort(), 200);
        if (command === "blockdev-snapshot" && UNDOING.includes(step)) abort.abort();
      });
      words.push(`before-${step}`);
      await note(vm, `before-${step}`);
      const copying = vm.snapshot(undefined, { signal: abort.signal });
      await expect(copying, step).rejects.toBeInstanceOf(OperationAbortedError);
      await eventually(async () => (await vm.info()).status === "running", `${step}: it runs`, 20_000);
      words.push(`after-${step}`);
      await note(vm, `after-${step}`);
      expect(wasSlow(), step).toBe(true);
      expect(await queryStatus(qmp), step).toBe("running");
      expect(vm.status, step).toBe("running");
      expect(await notes(vm), step).toEqual([...words].sort());
      vi.restoreAllMocks();
    }
    expect(drafts()).toEqual([]);
    await vm.stop();
    await vm.start();
    expect(await notes(vm)).toEqual([...words].sort());
    await vm.delete();
  }, 300_000);

  it("for longer than the caller of a snapshot waits has its new layer kept, and can be copied, stopped and started", async () => {
    const vm = await create();
    const qmp = await qmpOf(vm);
    await note(vm, "before");
    const abort = new AbortController();
    await slowAt(vm, "blockdev-snapshot", 12_000, (command) => {
      if (command === "blockdev-snapshot") setTimeout(() => abort.abort(), 500);
    });
    const late = vm.snapshot("late", { signal: abort.signal });
    await expect(late).rejects.toBeInstanceOf(OperationAbortedError);
    const calledMs = performance.now();
    const { status, statusReason } = await vm.info();
    expect([status, statusReason]).toEqual(["error", expect.stringContaining("stopped by a signal")]);
    expect(performance.now() - calledMs).toBeLessThan(4_000);
    await expect(vm.run("true", { timeout: 1 })).rejects.toBeInstanceOf(OperationTimeoutError);
    await eventually(async () => (await vm.info()).status === "running", "it runs", 20_000);
    await note(vm, "after");
    expect(await queryStatus(qmp)).toBe("running");
    expect(await layersOf(vm)).toHaveLength(2);
    vi.restoreAllMocks();
    await vm.snapshot("sound");
    await note(vm, "later");
    const copy = await own(SmolVM.restore("sound"));
    expect(await notes(copy)).toEqual(["after", "before"]);
    await copy.delete();
    await SmolVM.deleteSnapshot("sound");
    await vm.stop();
    await vm.start();
    expect(await notes(vm)).toEqual(["after", "before", "later"]);
    await vm.delete();
  }, 200_000);

  it("for 33 s at the switch of layers is saved all the same, in the time that the caller gave", async () => {
    const vm = await create();
    await note(vm, "before");
    await slowAt(vm, "blockdev-snapshot", 33_000);
    await vm.snapshot("slow");
    await note(vm, "after");
    const copy = await own(SmolVM.restore("slow"));
    expect(await notes(copy)).toEqual(["before"]);
    await SmolVM.deleteSnapshot("slow");
    for (const each of [vm, copy]) await each.delete();
  }, 200_000);
});
