import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import {
  CommandExecutionUnavailableError,
  inspectImage,
  SmolVM,
  SSH_BOOT_ARGS,
  VMAlreadyExistsError,
  VMStateError,
} from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, fresh, isAlive, isLeft, pidOf, startProgram, TINY } from "../support/machines.ts";

function deferred() {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve: () => resolve() };
}

describe("a machine", () => {
  it("refuses each call that its state does not allow, and says which call helps", async () => {
    const vm = new SmolVM(TINY);
    expect(vm.status).toBe("created");
    await expect(vm.run("true")).rejects.toThrow(VMStateError);
    await expect(vm.run("true")).rejects.toMatchObject({ remediation: "Call start() first." });
    await expect(vm.pause()).rejects.toThrow(VMStateError);
    await vm.stop();
    await vm.start();
    const pid = await pidOf(vm);
    await vm.start();
    expect(await pidOf(vm)).toBe(pid);
    await vm.stop();
    await vm.stop();
    expect(vm.status).toBe("stopped");
    await expect(vm.run("true")).rejects.toThrow(/it is stopped/);
    await vm.delete();
    await vm.delete();
    await expect(vm.run("true")).rejects.toThrow(/it is deleted/);
    await expect(vm.start()).rejects.toThrow(VMStateError);
    expect(isAlive(pid)).toBe(false);
  });

  it("starts once for two calls at once", async () => {
    await using vm = new SmolVM(TINY);
    await Promise.all([vm.start(), vm.start()]);
    expect((await vm.run("echo up")).output).toBe("up");
  });

  it("stands still while paused, and goes on", async () => {
    await using vm = await SmolVM.create(TINY);
    await vm.run("(while :; do date +%s.%N >/tmp/tick; usleep 10000; done) >/dev/null 2>&1 &");
    await vm.pause();
    expect(vm.status).toBe("paused");
    await expect(vm.run("true")).rejects.toMatchObject({ remediation: "Call resume() first." });
    await vm.resume();
    expect((await vm.run("cat /tmp/tick")).ok).toBe(true);
    await vm.pause();
    await vm.start();
    expect(vm.status).toBe("running");
  });

  it("keeps its disk, the largest there is with the least memory, over stop and start, and over the death of QEMU", async () => {
    await using vm = await SmolVM.create({ memSizeMib: 128, diskSizeMib: 1024 * 1024 });
    const size = await vm.run("df -BG --output=size / | tail -1");
    expect(Number.parseInt(size.output, 10)).toBeGreaterThan(950);
    await vm.run("echo kept >/root/file; sync", { check: true });
    await vm.stop();
    await vm.start();
    expect((await vm.run("cat /root/file")).output).toBe("kept");
    process.kill(await pidOf(vm), "SIGKILL");
    await eventually(() => vm.status === "error", "the status is error");
    expect((await vm.info()).statusReason).toMatch(/SIGKILL/);
    await expect(vm.run("true")).rejects.toMatchObject({ remediation: expect.stringContaining("start()") });
    await vm.start();
    expect((await vm.run("cat /root/file")).output).toBe("kept");
  });

  it("holds its name against a second one, in this process and in another", async () => {
    await using vm = await SmolVM.create({ ...TINY, name: "taken" });
    await expect(SmolVM.create({ ...TINY, name: "taken" })).rejects.toThrow(VMAlreadyExistsError);
    const body = `await SmolVM.create({ image: "tiny", name: "taken" }).catch((e) => tell(e.name)); process.exit();`;
    expect(await firstLine(startProgram(body))).toBe("VMAlreadyExistsError");
    expect((await vm.run("echo untouched")).output).toBe("untouched");
  });

  it("is gone when its scope is left by an exception, which is what is seen", async () => {
    let pid = 0;
    const options = fresh();
    const used = SmolVM.use(options, async (vm) => {
      pid = await pidOf(vm);
      throw new Error("mine");
    });
    await expect(used).rejects.toThrow("mine");
    expect([isAlive(pid), isLeft(options)]).toEqual([false, false]);
  });

  it("ends what runs in it when it is deleted", async () => {
    const vm = await SmolVM.create(TINY);
    const begun = deferred();
    const run = vm.run("echo begun; sleep 100", { onStdout: begun.resolve });
    const outcome = expect(run).rejects.toMatchObject({
      name: "CommandOutcomeUnknownError",
      stdout: "begun\n",
    });
    await begun.promise;
    await vm.delete();
    await outcome;
    expect(isLeft(vm)).toBe(false);
  });
});

describe("a machine with its own kernel and disk", () => {
  const configOf = async (bootArgs: string) => {
    const { kernelPath, initramfsPath, rootfsPath } = await inspectImage("debian");
    return { kernelPath, initrdPath: initramfsPath, rootfsPath: rootfsPath ?? "", bootArgs };
  };

  it("takes commands where its boot arguments start the SSH server, with or without an initramfs", async () => {
    for (const withInitrd of [true, false]) {
      const { initrdPath, ...rest } = await configOf(SSH_BOOT_ARGS);
      await using vm = new SmolVM(withInitrd ? { ...rest, initrdPath } : rest);
      expect(vm.canRunCommands()).toBe(true);
      await vm.start();
      await vm.waitForSsh({ timeout: 60 });
      expect((await vm.run("cat /etc/debian_version")).ok).toBe(true);
    }
  });

  it("takes none where they don't, and says so instead of hanging", async () => {
    const config = await configOf("console=ttyS0 root=/dev/vda rw panic=-1 init=/usr/bin/sleep -- 1000");
    await using vm = new SmolVM(config);
    expect(vm.canRunCommands()).toBe(false);
    await vm.start();
    expect(vm.status).toBe("running");
    const refused = vm.run("true");
    await expect(refused).rejects.toThrow(CommandExecutionUnavailableError);
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining(`machine "${vm.name}"`),
      vmId: vm.id,
      reason: expect.stringContaining("init=/init"),
      remediation: expect.stringContaining("SSH_BOOT_ARGS"),
    });
    expect(() => vm.sshCommands()).toThrow(CommandExecutionUnavailableError);
    await expect(vm.waitForSsh()).rejects.toThrow(CommandExecutionUnavailableError);
  });
});

describe("the network", () => {
  it("carries connections out where it is open, and none where it is off", async () => {
    const server = createServer((socket) => socket.end("hello\n")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const ask = `echo | nc -w 2 10.0.2.2 ${port}`;
    await SmolVM.use({ ...TINY, network: "open" }, async (vm) =>
      expect((await vm.run(ask)).output).toBe("hello"),
    );
    await SmolVM.use({ ...TINY, network: "off" }, async (vm) => expect((await vm.run(ask)).output).toBe(""));
    server.close();
  });
});
