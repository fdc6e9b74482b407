import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { QmpClient } from "../../src/qemu/qmp/client.ts";
import { generateName } from "../../src/util/names.ts";
import { eventually } from "../support/eventually.ts";
import { startProgram } from "../support/machines.ts";
import { CLONE, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(() => home[Symbol.asyncDispose]());
afterEach(() => vi.restoreAllMocks());

/** With a disk: the image "tiny" has none. */
const DEBIAN = { image: "debian", accelerator: "tcg" } as const;
const named = () => ({ ...DEBIAN, name: generateName() });

/** By how many seconds the guest's clock is behind the host's; negative: ahead. */
async function lagOf(vm: SmolVM): Promise<number> {
  const lags: { lag: number; took: number }[] = [];
  for (let round = 0; round < 3; round++) {
    const beforeMs = Date.now();
    const guestMs = Number((await vm.run("date +%s%N", { shell: "raw", check: true })).output) / 1e6;
    const took = Date.now() - beforeMs;
    lags.push({ lag: (beforeMs + took / 2 - guestMs) / 1000, took });
  }
  return lags.sort((a, b) => a.took - b.took)[0]?.lag ?? Number.NaN; // a busy host answers late
}

/** Needs so long when it is told to end, and says in a file that it had it. Beside it live many that end at once. */
const SERVICE = (seconds: number) => `cat > /root/service.sh <<'E'
trap 'sleep ${seconds}; echo flushed > /root/flushed; exit 0' TERM
echo up > /root/up; while :; do sleep 0.2; done
E
rm -f /root/up /root/flushed
nohup setsid sh /root/service.sh >/dev/null 2>&1 &
for i in $(seq 60); do nohup setsid sleep 999 >/dev/null 2>&1 & done
until [ -e /root/up ]; do sleep 0.1; done; sync`;

/** So long a guest stands still in a copy: long enough to be seen in its clock. */
const HELD_MS = 3_000;

/** A copy that is held up as the layers of the disk change, where the guest stands still. */
async function heldUp<T>(copy: () => Promise<T>): Promise<T> {
  const send = QmpClient.prototype.send;
  vi.spyOn(QmpClient.prototype, "send").mockImplementation(async function (this: QmpClient, command, args) {
    if (command === "blockdev-snapshot") await sleep(HELD_MS);
    return send.call(this, command, args);
  });
  return copy().finally(() => vi.restoreAllMocks());
}

/** Long before a clock is compared that nothing has befallen. */
async function isRight(vm: SmolVM, when: string): Promise<void> {
  await eventually(async () => Math.abs(await lagOf(vm)) < 1, `its clock is right ${when}`, 10_000);
}

describe("a machine that is stopped", () => {
  it(
    "leaves its services the time that the caller gave, no more than they need, and after a snapshot too",
    () =>
      SmolVM.use(named(), async (vm) => {
        await vm.run(SERVICE(6), { check: true });
        await vm.snapshot("before");
        await SmolVM.deleteSnapshot("before");
        await vm.run("echo late > /root/late", { check: true }); // synced by nobody but the guest as it ends
        const calledMs = performance.now();
        await vm.stop({ timeout: 60 });
        expect(performance.now() - calledMs).toBeLessThan(50_000);
        await vm.start();
        expect((await vm.run("cat /root/flushed /root/late", { check: true })).output).toBe("flushed\nlate");
      }),
    240_000,
  );
});

describe("the clock of a guest", () => {
  it(
    "is the host's after each pause, also where something else stopped the guest",
    () =>
      SmolVM.use(named(), async (vm) => {
        let qmp: QmpClient | undefined;
        const send = QmpClient.prototype.send;
        vi.spyOn(QmpClient.prototype, "send").mockImplementation(function (this: QmpClient, command, args) {
          if (command === "query-status") qmp = this;
          return send.call(this, command, args);
        });
        await vm.pause();
        vi.restoreAllMocks();
        await sleep(8_000);
        await vm.resume();
        expect(Math.abs(await lagOf(vm))).toBeLessThan(1);
        // Somebody else at QEMU's monitor: the status is QEMU's own, and start() brings the machine back.
        await qmp?.send("stop");
        await eventually(() => vm.status === "paused", "it is seen to stand still");
        await sleep(4_000);
        await vm.start();
        expect(vm.status).toBe("running");
        expect(Math.abs(await lagOf(vm))).toBeLessThan(1);
      }),
    240_000,
  );
});

describe("the clock of a guest that stood still without a pause", () => {
  it(
    "is the host's after a snapshot and after a fork, however long they held it up",
    () =>
      SmolVM.use(named(), async (vm) => {
        const { name, pauseMs } = await heldUp(() => vm.snapshot());
        expect(pauseMs).toBeGreaterThanOrEqual(HELD_MS);
        await isRight(vm, "after a snapshot");
        await SmolVM.deleteSnapshot(name);
        const [fork] = await heldUp(() => vm.fork());
        await isRight(vm, "after a fork");
        await fork?.delete();
      }),
    240_000,
  );

  it(
    "is the host's after QEMU was stopped by a signal, and where the host's clock jumps as by a sleep, on and back",
    () =>
      SmolVM.use(named(), async (vm) => {
        // QEMU's own clock goes on meanwhile: an emulated guest is right by itself, and must stay so.
        const { pid } = await vm.info();
        process.kill(Number(pid), "SIGSTOP");
        await sleep(5_000);
        process.kill(Number(pid), "SIGCONT");
        await isRight(vm, "after the signal");
        const now = Date.now;
        vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000);
        await isRight(vm, "after the host's clock went on");
        vi.restoreAllMocks();
        await isRight(vm, "after the host's clock went back");
      }),
    240_000,
  );
});

it("a program that copies, pauses and resumes a machine lives until that is done, with nothing else to do", async () => {
  const options = JSON.stringify({ ...CLONE, name: generateName() });
  const program = startProgram(`
    const vm = await SmolVM.create(${options});
    const { name } = await vm.snapshot();
    await SmolVM.deleteSnapshot(name);
    await vm.pause(); await vm.start(); await vm.resume();
    await vm.stop(); await vm.delete();
    tell("done");`);
  const [exit] = await once(program, "exit");
  expect(exit).toBe(0);
}, 120_000);
