import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { rootCertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prune, SmolVM, VMAlreadyExistsError, VMNotFoundError, VMStateError } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, isAlive, startProgram } from "../support/machines.ts";
import { elsewhere, lasting, useLasting, withDisk } from "../support/persistent.ts";
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

const options = (given: object) => JSON.stringify(given);

const seen = async (name: string) => (await SmolVM.list()).find((each) => each.name === name);

/** A file of certificates, as somebody has whose network reads along. */
function certificates(): string {
  const path = join(home.state.home, "ca.pem");
  writeFileSync(path, rootCertificates[0] ?? "");
  return path;
}

async function ownerOf(vm: SmolVM): Promise<number> {
  const { ownerPid } = await vm.info();
  if (ownerPid === null) throw new Error("nobody holds the machine");
  return ownerPid;
}

describe("a persistent machine", () => {
  it.each(["exit()", "kill(process.pid, 'SIGKILL')"])(
    "outlives the program that made it (process.%s), and is found by name and id",
    async (end) => {
      const made = lasting();
      const program = startProgram(
        `const vm = await SmolVM.create(${options(made)});
         await vm.run("echo kept >/root/note");
         tell({ id: vm.id, boot: (await vm.run("cat /proc/sys/kernel/random/boot_id")).output });
         setTimeout(() => process.${end}, 50);`,
      );
      const ended = once(program, "exit");
      const { id, boot } = (await firstLine(program)) as { id: string; boot: string };
      await ended;
      const vm = await SmolVM.get(id);
      try {
        expect(vm).toMatchObject({ id, name: made.name, status: "running" });
        const result = await vm.run("cat /root/note /proc/sys/kernel/random/boot_id");
        expect(result.output.split("\n")).toEqual(["kept", boot]);
        expect(
          await elsewhere(made.name, "tell((await (await SmolVM.get(name)).run('hostname')).output)"),
        ).toBe(made.name);
      } finally {
        await vm.delete();
      }
      expect(home.machines()).toEqual([]);
    },
  );

  it("is left as it is by its scope, which only closes connections; its supervisor has its maker's way to the internet, and no secrets", async () => {
    const made = lasting();
    const ours = {
      NODE_EXTRA_CA_CERTS: certificates(),
      HTTPS_PROXY: "http://proxy.test:1",
      no_proxy: "a.test",
    };
    const before = { ...process.env };
    Object.assign(process.env, ours, { SOME_SECRET: "s" });
    try {
      await using vm = await SmolVM.create(made);
      await vm.run("true");
    } finally {
      for (const name of [...Object.keys(ours), "SOME_SECRET"]) delete process.env[name];
      Object.assign(process.env, before);
    }
    const vm = await SmolVM.get(made.name);
    expect(vm.status).toBe("running");
    const pid = await ownerOf(vm);
    const its = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    expect(its).toEqual(expect.arrayContaining(Object.entries(ours).map((entry) => entry.join("="))));
    expect(its.filter((each) => each.startsWith("SOME_SECRET"))).toEqual([]);
    await vm.delete();
    await eventually(() => !isAlive(pid), "its supervisor is gone");
    expect(vm.status).toBe("stopped");
    await expect(vm.run("true")).rejects.toThrow(VMStateError);
  });

  it("keeps its disk over stop and start, by whichever process, and others see it", () =>
    useLasting(withDisk(), async (vm) => {
      const other = await SmolVM.get(vm.name);
      await vm.run("echo one >/root/note; sync", { check: true });
      expect(
        await elsewhere(vm.name, "const vm = await SmolVM.get(name); await vm.stop(); tell(vm.status)"),
      ).toBe("stopped");
      await eventually(() => vm.status === "stopped" && other.status === "stopped", "both see it");
      expect((await SmolVM.list({ status: "stopped" })).map(({ name }) => name)).toEqual([vm.name]);
      await vm.stop();
      await expect(vm.run("true")).rejects.toThrow(/it is stopped/);
      await other.start();
      expect((await vm.run("cat /root/note")).output).toBe("one");
      expect((await vm.info()).boot?.way).toBe("cold");
      await other[Symbol.asyncDispose]();
    }));

  it("is paused and resumed by any process", () =>
    useLasting(lasting(), async (vm) => {
      await elsewhere(vm.name, "const vm = await SmolVM.get(name); await vm.pause(); tell(vm.status)");
      await eventually(() => vm.status === "paused", "it is seen to be paused");
      await expect(vm.run("true")).rejects.toThrow(/it is paused/);
      expect((await seen(vm.name))?.status).toBe("paused");
      await vm.resume();
      expect((await vm.run("echo on")).output).toBe("on");
    }));

  it("is started once by two processes at once, and a third finds nothing to do", () =>
    useLasting(withDisk(), async (vm) => {
      await vm.stop();
      await vm[Symbol.asyncDispose]();
      const start = "const vm = await SmolVM.get(name); await vm.start(); tell((await vm.info()).pid)";
      const pids = await Promise.all([elsewhere(vm.name, start), elsewhere(vm.name, start)]);
      expect(pids[0]).toBe(pids[1]);
      expect(await elsewhere(vm.name, start)).toBe(pids[0]);
    }));

  it("holds its name against a second one, also when two processes want it at once", async () => {
    const made = lasting();
    const create = `await SmolVM.create(${options(made)}).then(() => tell("made"), (error) => tell(error.name));`;
    const told = await Promise.all([elsewhere(made.name, create), elsewhere(made.name, create)]);
    expect(told.sort()).toEqual(["VMAlreadyExistsError", "made"]);
    const vm = await SmolVM.get(made.name);
    await expect(SmolVM.create(made)).rejects.toThrow(VMAlreadyExistsError);
    expect((await vm.run("echo untouched")).output).toBe("untouched");
    await vm.delete();
  });

  it("may be made, started and found by its id by programs that know nothing else", async () => {
    await expect(SmolVM.get("nope")).rejects.toThrow(VMNotFoundError);
    await useLasting(lasting(), async (vm) => {
      const wrong = `${vm.name.slice(0, -1)}x`;
      await expect(SmolVM.get(wrong)).rejects.toMatchObject({
        remediation: expect.stringContaining(`"${vm.name}"`),
      });
    });
  });
});

describe("a start that fails", () => {
  it("leaves nothing of a machine that was never up", async () => {
    await using other = await SmolVM.create(named());
    const { sshPort } = await other.info();
    const taken = { ...lasting(), ports: [{ guest: 80, host: sshPort ?? 0 }] };
    const vm = new SmolVM(taken);
    await expect(vm.start()).rejects.toMatchObject({ name: "PortInUseError" });
    expect(vm.status).toBe("created");
    expect(home.machines()).toEqual([other.name]);
  });

  it("by the death of who wanted it leaves nothing", async () => {
    const made = lasting();
    const program = startProgram(`tell(1); await SmolVM.create(${options({ ...made, template: "off" })});`);
    const ended = once(program, "exit");
    await firstLine(program);
    await eventually(() => home.machines().includes(made.name), "it has its folder");
    program.kill("SIGKILL");
    await ended;
    await eventually(async () => {
      await prune();
      return home.machines().length === 0;
    }, "nothing is left");
  });

  it("by an abort is told as one, and leaves nothing", async () => {
    const vm = new SmolVM({ ...lasting(), template: "off" });
    const starting = vm.start({ signal: AbortSignal.timeout(700) });
    await expect(starting).rejects.toMatchObject({ name: "OperationAbortedError" });
    expect(home.machines()).toEqual([]);
    expect(vm.status).toBe("created");
  });
});

describe("the death of", () => {
  it("QEMU is known at once to whoever runs a command; start() brings the disk back", () =>
    useLasting(withDisk(), async (vm) => {
      await vm.run("echo kept >/root/note; sync", { check: true });
      const running = vm.run("echo begun; sleep 100");
      await running[Symbol.asyncIterator]().next();
      const { pid } = await vm.info();
      const killedMs = performance.now();
      process.kill(pid ?? 0, "SIGKILL");
      await expect(running).rejects.toMatchObject({ name: "CommandOutcomeUnknownError", stdout: "begun\n" });
      expect(performance.now() - killedMs).toBeLessThan(5_000);
      await eventually(() => vm.status === "error", "it is seen to be in error");
      expect(await seen(vm.name)).toMatchObject({
        status: "error",
        statusReason: expect.stringContaining("SIGKILL"),
        pid: null,
      });
      await vm.start();
      expect((await vm.run("cat /root/note")).output).toBe("kept");
    }));

  it("the supervisor takes QEMU with it and nothing else; start() brings the disk back", () =>
    useLasting(withDisk(), async (vm) => {
      await vm.run("echo kept >/root/note; sync", { check: true });
      const { pid, ownerPid } = await vm.info();
      const running = vm.run("sleep 100");
      await sleep(300);
      process.kill(ownerPid ?? 0, "SIGKILL");
      await expect(running).rejects.toMatchObject({ name: "CommandOutcomeUnknownError" });
      await eventually(() => !isAlive(pid ?? 0), "QEMU is gone");
      await eventually(() => vm.status === "error", "it is seen to be in error");
      expect(await seen(vm.name)).toMatchObject({
        status: "error",
        statusReason: expect.stringContaining("supervisor"),
      });
      await prune();
      await vm.start();
      expect((await vm.run("cat /root/note")).output).toBe("kept");
    }));

  it("the supervisor by SIGTERM shuts the guest down first", () =>
    useLasting(withDisk(), async (vm) => {
      await vm.run("echo unsynced >/root/note", { check: true });
      process.kill(await ownerOf(vm), "SIGTERM");
      await eventually(() => vm.status === "stopped", "it is seen to be stopped");
      await vm.start();
      expect((await vm.run("cat /root/note")).output).toBe("unsynced");
    }));
});

describe("a machine that is looked at while QEMU stands still by a signal", () => {
  it("is in error for as long, and what can be done is said", () =>
    useLasting(lasting(), async (vm) => {
      const { pid } = await vm.info();
      process.kill(pid ?? 0, "SIGSTOP");
      await eventually(async () => (await seen(vm.name))?.status === "error", "the signal has stopped it");
      expect((await seen(vm.name))?.statusReason).toContain("kill -CONT");
      expect(await vm.info()).toMatchObject({ status: "error" });
      process.kill(pid ?? 0, "SIGCONT");
      expect((await vm.run("echo on")).output).toBe("on");
      expect((await vm.info()).status).toBe("running");
      process.kill(pid ?? 0, "SIGSTOP");
      await vm.delete();
      expect(isAlive(pid ?? 0)).toBe(false);
    }));

  it("is what each call says that ends without an answer, with what lets it go on", () =>
    useLasting(lasting(), async (vm) => {
      const pid = (await vm.info()).pid ?? 0;
      process.kill(pid, "SIGSTOP");
      const calls: Record<string, () => PromiseLike<unknown>> = {
        run: () => vm.run("true", { timeout: 1 }),
        resume: () => vm.resume(),
        snapshot: () => vm.snapshot("late", { timeout: 2 }),
        pause: () => vm.pause(),
      };
      for (const [name, call] of Object.entries(calls))
        await expect(Promise.resolve(call()), name).rejects.toMatchObject({
          message: expect.stringContaining(`its QEMU (pid ${pid}) stands still by a signal`),
          remediation: `kill -CONT ${pid}`,
        });
      process.kill(pid, "SIGCONT");
      await eventually(() => vm.status === "paused", "QEMU does what it was asked", 20_000);
      await vm.resume();
      expect((await vm.run("echo on")).output).toBe("on");
    }));
});
