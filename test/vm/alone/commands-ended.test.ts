import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CommandOutcomeUnknownError,
  OperationAbortedError,
  OperationTimeoutError,
  SmolVM,
} from "../../../src/index.ts";
import { eventually } from "../../support/eventually.ts";
import { countProcesses, cutConnections, untilPrinted } from "../../support/in-guest.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

/** Everything that can be done not to be found: sessions of their own, parents that left, signals that are ignored. */
const stubborn = (sleeper: string) => `
trap '' TERM HUP INT QUIT PIPE
(setsid ${sleeper} &)
(sh -c "${sleeper} & setsid sh -c '(${sleeper} &)'" &)
(setsid sh -c 'setsid sh -c "cd /; exec >/dev/null 2>&1 </dev/null; ${sleeper} & ${sleeper}" &' &)
(nohup ${sleeper} >/dev/null 2>&1 &)
(while :; do ${sleeper}; done) &
until [ "$(pgrep -fxc '${sleeper}')" = 7 ]; do sleep 0.05; done
echo begun
${sleeper}
wait
`;

describe("nothing of a command lives on", () => {
  it("after its timeout", async () => {
    const run = vm.run(stubborn("sleep 4901"), { timeout: 8 });
    await expect(run).rejects.toThrow(OperationTimeoutError);
    await expect(run).rejects.toMatchObject({ timeoutSeconds: 8, stdout: "begun\n" });
    expect(await countProcesses(vm, "sleep 4901")).toBe(0);
  });

  it("after an abort", async () => {
    const abort = new AbortController();
    const run = vm.run(stubborn("sleep 4902"), { signal: abort.signal, onStdout: () => abort.abort() });
    await expect(run).rejects.toThrow(OperationAbortedError);
    expect(await countProcesses(vm, "sleep 4902")).toBe(0);
  });

  it("after kill('SIGKILL')", async () => {
    const run = vm.run(stubborn("sleep 4903"), { timeout: null });
    await untilPrinted(run, "begun");
    run.kill("SIGKILL");
    expect(await run).toMatchObject({ exitCode: 137, signal: "SIGKILL", stdout: "begun\n" });
    expect(await countProcesses(vm, "sleep 4903")).toBe(0);
  });

  it("after its reader has left the iteration", async () => {
    for await (const { text } of vm.run(stubborn("sleep 4904"))) if (text.includes("begun")) break;
    expect(await countProcesses(vm, "sleep 4904")).toBe(0);
  });

  it("after the loss of the connection, but for what earlier ones left running on purpose", async () => {
    await vm.run("nohup sleep 4906 >/dev/null 2>&1 & (setsid sleep 4906 &)");
    const run = vm.run(stubborn("sleep 4905"), { timeout: null });
    const lost = expect(run).rejects.toThrow(CommandOutcomeUnknownError);
    await untilPrinted(run, "begun");
    await cutConnections(vm);
    await lost;
    await eventually(async () => (await countProcesses(vm, "sleep 4905")) === 0, "all of it is dead");
    expect(await countProcesses(vm, "sleep 4906")).toBe(2);
  });

  it("after a timeout that its guest alone kept, the host being away", async () => {
    await vm.waitForSsh(); // it is told of the deadline over a connection
    const script =
      "trap '' TERM; (setsid sh -c 'while :; do read -r up _ </proc/uptime; echo $up >>/tmp/beats; sleep 0.1; done' &); echo begun; sleep 100";
    const run = vm.run(script, { timeout: 3 });
    const timedOut = expect(run).rejects.toThrow(OperationTimeoutError);
    await untilPrinted(run, "begun");
    await sleep(1000);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 12_000); // this process does nothing at all
    await timedOut;
    const beats = (await vm.run("cat /tmp/beats")).output.split("\n").map(Number);
    expect((beats.at(-1) ?? 0) - (beats[0] ?? 0)).toBeLessThan(9);
    expect(beats.length).toBeGreaterThan(3);
  }, 60_000);
});

describe("a timeout", () => {
  it("is counted from the call, however often something is printed", async () => {
    const began = performance.now();
    const run = vm.run("while :; do echo line; sleep 0.3; done", { timeout: 1 });
    await expect(run).rejects.toMatchObject({ stdout: expect.stringMatching(/^(line\n){1,4}$/) });
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  it("comes at most a second late, an abort at once, and with them the end of the whole tree", async () => {
    const tree = "(setsid sleep 4911 &); trap '' TERM; sleep 4911; sleep 4911";
    const [late, slow]: [number[], number[]] = [[], []];
    for (let n = 0; n < 3; n++) {
      const beganMs = performance.now();
      await expect(vm.run(tree, { timeout: 1 })).rejects.toThrow(OperationTimeoutError);
      late.push(performance.now() - beganMs - 1000);
      expect(await countProcesses(vm, "sleep 4911")).toBe(0);
      const abort = new AbortController();
      const run = vm.run(`echo begun; ${tree}`, { signal: abort.signal });
      const aborted = expect(run).rejects.toThrow(OperationAbortedError);
      await untilPrinted(run, "begun");
      const abortedMs = performance.now();
      abort.abort();
      await aborted;
      slow.push(performance.now() - abortedMs);
      expect(await countProcesses(vm, "sleep 4911")).toBe(0);
    }
    // The computer may have had something else to do for a moment.
    expect(Math.min(...late)).toBeLessThan(1000);
    expect(Math.min(...slow)).toBeLessThan(500);
  });

  it("does not come where there is none, nor is it the next command's", async () => {
    // Both are held in the guest too: the second would die by the deadline of the first.
    expect((await vm.run("sleep 0.6; echo first", { timeout: 3, stdin: "x" })).output).toBe("first");
    expect((await vm.run("sleep 6; echo second", { timeout: null })).output).toBe("second");
    expect((await vm.run("sleep 0.6; echo third", { timeout: "3s" })).output).toBe("third");
    expect((await vm.run("sleep 6; echo fourth")).output).toBe("fourth");
  });

  it("ends what was started with & as well, where it is the command that is late", async () => {
    await expect(vm.run("nohup sleep 4907 >/dev/null 2>&1 & sleep 100", { timeout: 1 })).rejects.toThrow(
      OperationTimeoutError,
    );
    expect(await countProcesses(vm, "sleep 4907")).toBe(0);
  });
});

describe("what was left running on purpose", () => {
  it("goes on, and writes on, whatever becomes of the commands after it", async () => {
    const left = "(while :; do echo tick >>/tmp/ticks; sleep 0.1; done) &";
    expect((await vm.run(`${left} nohup sleep 4908 & echo parent`)).stdout).toBe("parent\n");
    await expect(vm.run("sleep 100", { timeout: 0.5 })).rejects.toThrow(OperationTimeoutError);
    const killed = vm.run("sleep 100");
    killed.kill("SIGKILL");
    await killed.catch(() => {});
    const count = async () => Number((await vm.run("wc -l </tmp/ticks")).output);
    const before = await count();
    await eventually(async () => (await count()) > before + 2, "it ticks on");
    expect(await countProcesses(vm, "sleep 4908")).toBe(1);
    await vm.run("kill $(pgrep -fx 'sleep 4908'); pkill -f tick");
  });
});

describe("kill, timeout and exit at any moment", () => {
  it("give one clear outcome each, and leave nobody", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const play = async (n: number) => {
      const [livesMs, timeoutMs, killMs] = [random(300), 50 + random(400), random(500)];
      const signal = ["SIGTERM", "SIGKILL", "SIGINT"][random(3)] ?? "SIGTERM";
      const tree = `(setsid sleep 4910 &) ; echo ${n}; sleep ${livesMs / 1000}; exit ${n}`;
      await sleep(random(200));
      const run = vm.run(random(2) === 0 ? tree : `echo ${n}; sleep ${livesMs / 1000}; exit ${n}`, {
        timeout: `${timeoutMs}ms`,
        shell: random(2) === 0 ? "login" : "raw",
        ...(random(5) === 0 && { stdin: "x".repeat(random(5000)) }),
      });
      const killTimer = random(2) === 0 ? setTimeout(() => run.kill(signal), killMs) : undefined;
      const outcome = await run.then(
        (result) => {
          if (result.signal) return [signal, "SIGKILL"].includes(result.signal);
          return (
            (result.exitCode === n && result.stdout === `${n}\n`) ||
            (signal === "SIGINT" && result.exitCode === 130)
          );
        },
        (error: unknown) =>
          error instanceof OperationTimeoutError ||
          (error instanceof OperationAbortedError && killTimer !== undefined),
      );
      clearTimeout(killTimer);
      return outcome;
    };
    for (let round = 0; round < 6; round++) {
      const outcomes = await Promise.all(Array.from({ length: 12 }, (_, n) => play(n + 1)));
      expect(outcomes, `seed ${seed}, round ${round}`).toEqual(outcomes.map(() => true));
    }
    // What ended by itself has left one of these on purpose.
    await vm.run("pkill -fx 'sleep 4910'");
    const sleepers = async () =>
      (await vm.run("pgrep -fc '^sleep (0[0-9.]*|4910)$'", { shell: "raw" })).output;
    await eventually(async () => (await sleepers()) === "0", `nobody sleeps, seed ${seed}`);
    const populated = "grep -l 'populated 1' /sys/fs/cgroup/smolvm/*/[0-9]*/cgroup.events | wc -l";
    // The one that asks, and the shells that wait.
    expect(Number((await vm.run(populated)).output)).toBeLessThanOrEqual(3);
  });
});
