import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OperationTimeoutError, SmolVM } from "../../src/index.ts";
import { readGuestScript } from "../../src/ssh/protocol/guest-scripts.ts";
import { elsewhere } from "../support/persistent.ts";

/** It may stand still before it can say that it is done. */
const freeze = (groups: string) =>
  `ls -d ${groups} && echo 0 >/status && for it in ${groups}; do echo 1 >$it/cgroup.freeze; done`;

/** What root can do in one command so that no packet or no process of the host's gets through any more, and what shows that it is done. */
const CLOSED = [
  ["its packets lead nowhere", "ip route add blackhole 10.0.2.2"],
  ["eth0 is down, without an address", "ip address flush dev eth0; ip link set eth0 down"],
  [
    "no driver is bound to its card",
    "cd /sys/bus/virtio/drivers/virtio_net && for it in virtio*; do echo $it >unbind; done",
  ],
  ["the SSH server is stopped", "kill -STOP $(pidof dropbear)"],
  ["all that lets the host in is frozen", freeze("/sys/fs/cgroup/sessions /sys/fs/cgroup/smolvm")],
  ["the command's own group stands still", freeze("/sys/fs/cgroup/smolvm/*/[1-4]")],
  [
    "nobody may start a process there",
    "for it in $(find /sys/fs/cgroup/smolvm -name pids.max) /sys/fs/cgroup/sessions/pids.max; do echo 0 >$it; done",
  ],
  ["no process can be started at all", "echo 20 >/proc/sys/kernel/threads-max"],
  ["no process gets memory", "echo 0 >/proc/sys/vm/overcommit_ratio; echo 2 >/proc/sys/vm/overcommit_memory"],
] as const;

describe("the owner gets in again, in this program and in another one, where", () => {
  let vm: SmolVM;
  beforeAll(async () => {
    vm = await SmolVM.create();
  });
  afterAll(() => vm.delete());

  it("a connection goes as its keeper starts: PID 1 is not moved to what can be frozen", async () => {
    await vm.run("cat >/keeper", { stdin: readGuestScript("keeper") });
    const keeper = "sh /keeper root /sys/fs/cgroup/smolvm/none smolvm.none";
    await vm.run(`{ sleep 0.5; exec ${keeper}; } </dev/null >/dev/null 2>&1 &`); // its parent is PID 1 then
    await sleep(1500);
    expect((await vm.run("cat /proc/1/cgroup")).output).toBe("0::/");
  });

  it.each(CLOSED)("%s", async (_what, close) => {
    const { bootId } = await state(vm);
    await vm
      .run(`{ ${close}; echo $? >/status; } >/dev/null 2>&1 &\nsleep 1`, { timeout: 2 })
      .catch(() => {});
    const given = JSON.stringify(["echo in", { timeout: 90 }]);
    const told = elsewhere(vm.name, `tell((await (await SmolVM.get(name)).run(...${given})).output)`);
    expect(await told).toBe("in");
    expect(await state(vm)).toEqual({ bootId, answer: "in" });
    expect((await vm.run("cat /status; rm /status")).output).toBe("0");
  });
});

async function state(vm: SmolVM) {
  const answer = await vm.run("echo in", { timeout: 90 });
  const boot = await vm.run("cat /proc/sys/kernel/random/boot_id", { timeout: 90 });
  return { bootId: boot.output, answer: answer.output };
}

it("the first command of a clone that takes the network away is ended at its timeout, with all that it started", async () => {
  await using vm = await SmolVM.create();
  const script =
    "ip link set eth0 down; (setsid sh -c 'while :; do echo >>/ticks; sleep 0.1; done' &); sleep 1000";
  await expect(vm.run(script, { timeout: 3 })).rejects.toThrow(OperationTimeoutError);
  const count = async () => (await vm.run("wc -l </ticks", { timeout: 60 })).output;
  const first = await count();
  expect(Number(first)).toBeGreaterThan(0);
  expect(Number(first)).toBeLessThan(60);
  await sleep(1000);
  expect(await count()).toBe(first);
  expect((await vm.run("pgrep -f 'sleep 100[0]' || true")).output).toBe("");
});
