import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CommandOutcomeUnknownError,
  OperationTimeoutError,
  SmolVM,
  VMStateError,
} from "../../../src/index.ts";
import { eventually } from "../../support/eventually.ts";
import { countProcesses, cutConnections, untilPrinted } from "../../support/in-guest.ts";
import { pidOf, TINY } from "../../support/machines.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

/** How many SSH connections the guest has open. */
const CONNECTIONS = "grep -c ':0016 .* 01 ' /proc/net/tcp";

/** Resolves when the command has begun, with what will become of it. */
async function begin(script: string): Promise<{ readonly outcome: Promise<unknown> }> {
  const run = vm.run(`echo begun; ${script}`, { timeout: null });
  const outcome = run.catch((error: unknown) => error);
  await untilPrinted(run, "begun");
  return { outcome };
}

describe("two hundred commands at once", () => {
  it("all get their own result, over few connections", async () => {
    const runs = Array.from({ length: 200 }, (_, n) =>
      vm.run(`echo ${n}; ${n === 150 ? CONNECTIONS : "true"}; exit ${n % 7}`, { shell: "raw", timeout: 100 }),
    );
    const results = await Promise.all(runs);
    expect(results.map(({ stdout }) => Number.parseInt(stdout, 10))).toEqual(results.map((_, n) => n));
    expect(results.map(({ exitCode }) => exitCode)).toEqual(results.map((_, n) => n % 7));
    expect(Number(results[150]?.stdout.split("\n")[1])).toBeLessThanOrEqual(4);
  });
});

describe("a connection that breaks", () => {
  it("while nothing runs is made again for the next command", async () => {
    const session = "ps -o ppid= -p $PPID";
    const before = await vm.run(session, { shell: "raw" });
    await vm.run(`(sleep 0.3; kill -9 ${before.output}; echo yes >/tmp/was-cut) >/dev/null 2>&1 &`);
    await sleep(3000);
    expect((await vm.run("cat /tmp/was-cut")).output).toBe("yes");
    expect((await vm.run(session, { shell: "raw" })).output).not.toBe(before.output);
  });

  it("while commands run leaves their outcome unknown, and what they printed is there", async () => {
    const both = [await begin("sleep 4841"), await begin("exec setsid sleep 4841")];
    await cutConnections(vm);
    for (const { outcome } of both) {
      expect(await outcome).toBeInstanceOf(CommandOutcomeUnknownError);
      expect(await outcome).toMatchObject({ stdout: "begun\n", stderr: "", code: "COMMAND_OUTCOME_UNKNOWN" });
    }
    expect((await vm.run("echo next")).output).toBe("next");
    await eventually(async () => (await countProcesses(vm, "sleep 4841")) === 0, "the guest has ended them");
  });

  it("at any moment, again and again, is told as it is, and never run twice", async () => {
    await vm.run("rm -f /tmp/once");
    for (let n = 0; n < 8; n++) {
      const cut = cutConnections(vm);
      await sleep(n * 20);
      const outcome = await vm
        .run(`echo ${n} >>/tmp/once; echo done`, { shell: n % 2 ? "raw" : "login" })
        .then(
          ({ output }) => output,
          (error: unknown) => error,
        );
      await cut;
      if (outcome !== "done") expect(outcome).toBeInstanceOf(CommandOutcomeUnknownError);
      const lines = (await vm.run("cat /tmp/once 2>/dev/null; true")).stdout
        .split("\n")
        .filter((line) => line === String(n));
      expect(lines.length, `round ${n}, ${outcome}`).toBeLessThanOrEqual(1);
      if (outcome === "done") expect(lines.length).toBe(1);
    }
  });
});

describe("in the guest", () => {
  it("the server may be killed with all it started: the first process starts it again", async () => {
    const running = await begin("sleep 4842");
    await vm.run("kill -9 $(pgrep -x dropbear)").catch(() => {});
    expect(await running.outcome).toBeInstanceOf(CommandOutcomeUnknownError);
    expect((await vm.run("echo next")).output).toBe("next");
    await eventually(async () => (await countProcesses(vm, "sleep 4842")) === 0, "nothing is left");
  });

  it("the shell above a command may be killed: its outcome is unknown, and it is dead", async () => {
    const running = await begin("(setsid sleep 4843 &); kill -9 $PPID; sleep 4843");
    expect(await running.outcome).toBeInstanceOf(CommandOutcomeUnknownError);
    expect((await vm.run("echo next")).output).toBe("next");
    await eventually(async () => (await countProcesses(vm, "sleep 4843")) === 0, "nothing is left");
  });

  it("what ends commands may be killed: it has a successor", async () => {
    expect(
      (await vm.run(["pkill", "-9", "-f", "sh root /sys/fs/cgroup/smolvm/[0-9a-f]+ smolvm"])).exitCode,
    ).toBe(0);
    await expect(vm.run("(setsid sleep 4844 &); sleep 4844", { timeout: 1 })).rejects.toThrow(
      OperationTimeoutError,
    );
    await eventually(async () => (await countProcesses(vm, "sleep 4844")) === 0, "nothing is left");
    const running = await begin("(setsid sleep 4845 &); sleep 4845");
    await vm.run(["pkill", "-9", "-f", "sh root /sys/fs/cgroup/smolvm/[0-9a-f]+ smolvm"]);
    await sleep(500);
    await cutConnections(vm);
    expect(await running.outcome).toBeInstanceOf(CommandOutcomeUnknownError);
    await eventually(async () => (await countProcesses(vm, "sleep 4845")) === 0, "nothing is left");
  });

  it("a command may end every process that it can: whatever is told of it, the next one runs", async () => {
    for (const script of ["kill -9 0", "kill -TERM 0; echo survived", "kill -9 -1"]) {
      const outcome: unknown = await vm.run(script).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(CommandOutcomeUnknownError);
      else expect(outcome).toMatchObject({ ok: false });
      expect((await vm.run("echo next", { timeout: 60 })).output).toBe("next");
    }
  });

  it("all processes may be killed at once, again and again: the first one starts those that serve us again", () =>
    SmolVM.use(TINY, async (tiny) => {
      for (let round = 0; round < 12; round++) {
        await sleep((round % 4) * 50);
        await tiny.run("kill -9 -1").catch(() => {});
        expect((await tiny.run("echo next", { timeout: 20 })).output, `round ${round}`).toBe("next");
      }
    }));

  it("a flood of processes ends with its command", async () => {
    const flood = "f() { f | f & }; trap '' TERM; f; while :; do sleep 4848 & done";
    await expect(vm.run(flood, { timeout: 2 })).rejects.toThrow(OperationTimeoutError);
    await eventually(async () => (await countProcesses(vm, "sleep 4848")) === 0, "nothing is left", 60_000);
    expect((await vm.run("echo next")).output).toBe("next");
  });
});

describe("a machine whose process is killed", () => {
  it("leaves the outcome of its commands unknown within a second, and comes back with its disk", async () => {
    await vm.run("echo kept >/root/kept; sync");
    const [first, second] = [await begin("sleep 4846"), await begin("exec setsid sleep 4847")];
    const waiting = vm.run("sleep 100", { pty: true }).catch((error: unknown) => error);
    await sleep(300);
    process.kill(await pidOf(vm), "SIGKILL");
    const killedMs = performance.now();
    for (const outcome of [first.outcome, second.outcome, waiting]) {
      expect(await outcome).toBeInstanceOf(CommandOutcomeUnknownError);
      expect(String(await outcome)).toMatch(/QEMU was ended by SIGKILL/);
    }
    expect(performance.now() - killedMs).toBeLessThan(1000);
    expect(await first.outcome).toMatchObject({ stdout: "begun\n" });
    expect(vm.status).toBe("error");
    await expect(vm.run("true")).rejects.toThrow(VMStateError);
    await vm.start();
    expect(vm.status).toBe("running");
    expect((await vm.run("cat /root/kept")).output).toBe("kept");
  });
});
