import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HostError, SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { isAlive, isLeft, pidOf } from "../support/machines.ts";
import { elsewhere, lasting, useLasting } from "../support/persistent.ts";
import { named, type OwnHome, useOwnHome } from "../support/templates.ts";

let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(async () => {
  const left = home.machines();
  await home[Symbol.asyncDispose]();
  expect(left).toEqual([]);
});

describe("a time to live", () => {
  it("ends an ephemeral machine, whatever runs in it", async () => {
    const vm = await SmolVM.create({ ...named(), ttl: "1500ms" });
    const pid = await pidOf(vm);
    expect((await vm.info()).ttlSeconds).toBe(1.5);
    const running = vm.run("sleep 100");
    await expect(running).rejects.toMatchObject({ name: "CommandOutcomeUnknownError" });
    await eventually(() => !isLeft(vm), "its folder is gone");
    expect(isAlive(pid)).toBe(false);
    await expect(vm.run("true")).rejects.toThrow(/it is deleted \(it has run for 1.5 s, as long as it may\)/);
  });

  it("stops a persistent one though nobody who made it is there, and counts again from the next start", () =>
    useLasting({ ...lasting(), ttl: "4s" }, async (vm) => {
      await vm[Symbol.asyncDispose]();
      const again = await SmolVM.get(vm.name);
      await eventually(() => again.status === "stopped", "it is stopped", 15_000);
      expect(await again.info()).toMatchObject({ statusReason: "it has run for 4 s, as long as it may" });
      await again.start();
      expect((await again.run("echo on")).output).toBe("on");
      await again[Symbol.asyncDispose]();
    }));
});

describe("an idle limit", () => {
  it("lets a machine be while a command runs, however long, and ends it when nobody uses it", async () => {
    const vm = await SmolVM.create({ ...named(), idleTimeout: "1s" });
    expect((await vm.run("sleep 2.5; echo done")).output).toBe("done");
    expect(vm.status).toBe("running");
    await eventually(() => !isLeft(vm), "its folder is gone");
    expect(vm.status).toBe("stopped");
  });

  it("counts a connection of any program as use, and stops a persistent machine without one", () =>
    useLasting({ ...lasting(), idleTimeout: "1s" }, async (vm) => {
      const own = vm.run("until [ -e /tmp/there ]; do sleep 0.1; done"); // a busy computer may start a program late
      const told = await elsewhere(
        vm.name,
        "const vm = await SmolVM.get(name); const { output } = await vm.run('touch /tmp/there; sleep 3; echo done'); tell([output, vm.status])",
      );
      await own;
      expect(told).toEqual(["done", "running"]);
      await eventually(() => vm.status === "stopped", "it is stopped");
      expect((await vm.info()).statusReason).toContain("nobody has used it for 1 s");
    }));

  it("does not count while the machine is paused", async () => {
    await using vm = await SmolVM.create({ ...named(), idleTimeout: "2s" });
    await vm.pause();
    await sleep(4000);
    expect(vm.status).toBe("paused");
  });
});

describe("limits of the host", () => {
  it("hold for QEMU, or it is said why they can't, and nothing is left", async () => {
    const made = { ...named(), hostLimits: { memoryMib: 512, cpus: 0.5 } };
    const vm = new SmolVM(made);
    try {
      await vm.start();
      expect(vm.status).toBe("running"); // a host where this user has a part of the cgroup tree
      await vm.delete();
    } catch (error) {
      expect(error).toBeInstanceOf(HostError);
      expect(error).toMatchObject({
        message: expect.stringContaining("hostLimits can't be held on this host: "),
        remediation: expect.stringContaining("Delegate=yes"),
      });
    }
    expect(home.machines()).toEqual([]);
  });
});

describe("a machine of the least memory", () => {
  it("is up and runs commands", async () => {
    await using vm = await SmolVM.create({ ...named(), memSizeMib: 96, template: "off" });
    expect((await vm.run("head -c 20000000 /dev/zero | wc -c")).output).toBe("20000000");
    await expect(SmolVM.create({ ...named(), memSizeMib: 95 })).rejects.toThrow(/from 96 to/);
  });
});
