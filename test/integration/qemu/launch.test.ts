import { describe, expect, it } from "vitest";
import { BootError, OperationAbortedError, OperationTimeoutError } from "../../../src/errors.ts";
import { findProcess } from "../../../src/host/process-identity.ts";
import { launchMachine } from "../../../src/qemu/machine.ts";
import { runGuest } from "../../../src/qemu/run-guest.ts";
import { fakeMachine, fakeOptions } from "./fake-qemu.ts";

const launch = (name: string) => launchMachine(fakeMachine(name), fakeOptions());

async function failureOf(work: Promise<unknown>): Promise<BootError> {
  const error = await work.then(
    () => new Error("nothing failed"),
    (failure) => failure,
  );
  expect(error).toBeInstanceOf(BootError);
  return error as BootError;
}

describe("a QEMU that starts", () => {
  it("is known by its process id, its command line and the port to SSH", async () => {
    const machine = await launch("silent");
    expect(machine.sshPort).toBe(40022);
    expect(machine.commandLine).toContain("fake-qemu.mjs -name guest=fake ");
    expect(machine.commandLine).toContain(` -kernel '/images/it'\\''s a kernel' `);
    expect(await findProcess(machine.pid)).toBeDefined();
    await machine.kill();
    expect(await findProcess(machine.pid)).toBeUndefined();
  });

  it("has no port to SSH where none is asked for", async () => {
    const description = { ...fakeMachine("silent"), network: null };
    const machine = await launchMachine(description, fakeOptions());
    expect(machine.sshPort).toBeNull();
    await machine.kill();
  });

  it("gives every console line from the first one on", async () => {
    const lines: string[] = [];
    const machine = await launchMachine(
      fakeMachine("ready"),
      fakeOptions({ onConsoleLine: (line) => lines.push(line) }),
    );
    await machine.waitReady({ timeoutMs: 10_000 });
    expect(lines).toEqual(["SeaBIOS", "[    0.1] Linux version 6.12", "smolvm: ready"]);
    await machine.kill();
  });
});

describe("a QEMU that does not start", () => {
  it.each([
    ["ends at once", "out of luck"],
    ["greets with noise", "no greeting"],
    ["greets and ends", "exit code 1: it said nothing"],
    ["refuses to negotiate", "qmp_capabilities"],
    ["forgets its port", "does not tell the port"],
  ])("because it %s is a BootError that says so, and leaves no process", async (name, words) => {
    const error = await failureOf(launch(name));
    expect(error.message).toMatch(/^QEMU .*\.$/);
    expect(error.message).toMatch(new RegExp(words));
    expect(error.commandLine).toContain(`fake=${name.replaceAll(" ", "-")}`);
  });

  it("because its program is not there says that", async () => {
    const options = fakeOptions({ qemu: { ...fakeOptions().qemu, path: "/no/such/qemu" } as never });
    const error = await failureOf(launchMachine(fakeMachine("ready"), options));
    expect(error.message).toContain("/no/such/qemu: not found");
  });

  it("within its deadline is killed", async () => {
    const error = await failureOf(
      launchMachine(fakeMachine("never greets"), fakeOptions({ timeoutMs: 500 })),
    );
    expect(error.cause).toBeInstanceOf(OperationTimeoutError);
  });

  it("before its start is aborted is killed", async () => {
    const control = new AbortController();
    const launching = launchMachine(fakeMachine("never greets"), fakeOptions({ signal: control.signal }));
    setTimeout(() => control.abort(new Error("enough")), 100);
    const error = await launching.catch((failure) => failure);
    expect(error).toBeInstanceOf(OperationAbortedError);
    expect(error.cause).toEqual(new Error("enough"));
  });
});

describe("waiting for the guest", () => {
  it("ends when it is ready, also for who asks later", async () => {
    const machine = await launch("ready");
    await machine.waitReady({ timeoutMs: 10_000 });
    await machine.waitReady({ timeoutMs: 10_000 });
    await machine.kill();
  });

  it.each([
    ["failed", "The guest could not start: no disk /dev/vda."],
    ["failed evilly", "The guest could not start: no \\x1b[2J disk."],
    ["panic", "The guest's kernel panicked: VFS: Unable to mount root fs on unknown-block(0,0)."],
    ["crashing", "QEMU was ended by SIGSEGV."],
    [
      "roomless",
      "QEMU was ended by SIGBUS. That happens where the disk of the state folder is full: look whether it is.",
    ],
    ["leaving", "The guest powered off or restarted, and QEMU ended."],
    ["stuck", "The accelerator gave up on the guest: QEMU's internal error."],
  ])("that is %s fails at once", async (name, message) => {
    const machine = await launch(name).catch((error) => error);
    // Some of them end so early that QEMU's own start fails.
    const error =
      machine instanceof Error ? machine : await failureOf(machine.waitReady({ timeoutMs: 10_000 }));
    expect(error.message).toBe(message);
    if (!(machine instanceof Error)) await machine.kill();
  });

  it("fails at its deadline, with all that is known", async () => {
    const machine = await launch("silent");
    machine.console.onLine(() => {});
    const error = await failureOf(machine.waitReady({ timeoutMs: 50 }));
    expect(error.message).toBe('The guest did not say "ready" within 0.05 s.');
    expect(error.cause).toBeInstanceOf(OperationTimeoutError);
    expect(error.details).toMatchObject({ timeoutMs: 50, commandLine: machine.commandLine });
    await machine.kill();
  });

  it("has the console's tail in the error", async () => {
    const machine = await launch("failed");
    const error = await failureOf(machine.waitReady({ timeoutMs: 10_000 }));
    expect(error.consoleTail).toContain("no disk /dev/vda");
    await machine.kill();
  });

  it("ends when it is aborted, and leaves the machine alone", async () => {
    const machine = await launch("silent");
    const control = new AbortController();
    const waiting = machine.waitReady({ timeoutMs: 10_000, signal: control.signal });
    control.abort();
    await expect(waiting).rejects.toBeInstanceOf(OperationAbortedError);
    expect(await findProcess(machine.pid)).toBeDefined();
    await machine.kill();
  });

  it("bears a flood on the console", async () => {
    const machine = await launch("flooding");
    await machine.waitReady({ timeoutMs: 10_000 });
    expect(machine.console.tail.length).toBeLessThanOrEqual(64 * 1024);
    await machine.kill();
  });
});

describe("shutting a machine down", () => {
  it.each([
    ["ready", "guest"],
    ["silent", "guest"],
    ["deaf guest", "quit"],
    ["deaf to quit", "SIGTERM"],
    ["deaf to all", "SIGKILL"],
  ])(
    "that is %s takes %s",
    async (name, step) => {
      const machine = await launch(name);
      if (name !== "silent") await machine.waitReady({ timeoutMs: 10_000 });
      expect(await machine.shutdown({ timeoutMs: name.startsWith("deaf") ? 200 : 10_000 })).toBe(step);
      expect(await findProcess(machine.pid)).toBeUndefined();
      await machine.qmp.closed;
      await machine.console.closed;
    },
    30_000,
  );

  it("that a signal has stopped takes SIGKILL, a moment after its time", async () => {
    const machine = await launch("ready");
    process.kill(machine.pid, "SIGSTOP");
    const calledMs = performance.now();
    expect(await machine.shutdown({ timeoutMs: 200 })).toBe("SIGKILL");
    expect(performance.now() - calledMs).toBeLessThan(3_500);
    expect(await findProcess(machine.pid)).toBeUndefined();
  }, 20_000);

  it("that is gone already is fine, twice too, and so is killing it", async () => {
    const machine = await launch("ready");
    await Promise.all([machine.shutdown({ timeoutMs: 10_000 }), machine.shutdown({ timeoutMs: 10_000 })]);
    await machine.shutdown({ timeoutMs: 10_000 });
    await machine.kill();
    await machine.kill();
  });
});

describe("a machine that dies", () => {
  it("fails the calls that are under way, tells how, and fails the later ones", async () => {
    const machine = await launch("ends when asked");
    const call = machine.qmp.execute("query-status");
    await expect(call).rejects.toMatchObject({ phase: "connection" });
    expect(await machine.exited).toMatchObject({
      exitCode: 3,
      reason: "QEMU ended with exit code 3: it said nothing.",
    });
    await expect(machine.pause()).rejects.toMatchObject({ code: "QMP" });
  });

  it("is told by the signal that killed it", async () => {
    const machine = await launch("ready");
    process.kill(machine.pid, "SIGKILL");
    expect(await machine.exited).toEqual({
      exitCode: 137,
      signal: "SIGKILL",
      reason: "QEMU was ended by SIGKILL.",
    });
  });
});

describe("a guest that does one piece of work", () => {
  const run = (name: string, more: object = {}) => {
    const lines: string[] = [];
    const { arch, kernel, bootArgs, memoryMib, cpus } = fakeMachine(name);
    const onLine = (line: string) => lines.push(line);
    const spec = {
      arch,
      kernel,
      bootArgs,
      memoryMib,
      cpus,
      initramfs: "/i",
      disks: [],
      onLine,
      timeoutMs: 10_000,
    };
    const host = { ...fakeOptions(), accelerator: "tcg" as const };
    return { lines, result: runGuest({ ...spec, ...more }, host) };
  };

  it("is over when it has said so and powered off", async () => {
    const { lines, result } = run("working");
    await result;
    expect(lines).toEqual(["smolvm: progress 1 of 2", "smolvm: progress 2 of 2", "smolvm: done"]);
  });

  it.each([
    ["stopping", "The guest could not start: out of space."],
    ["leaving", "The guest powered off or restarted, and QEMU ended."],
    ["failed evilly", "The guest could not start: no \\x1b[2J disk."],
    ["panic", "The guest's kernel panicked: VFS: Unable to mount root fs on unknown-block(0,0)."],
  ])("fails where it is %s", async (name, message) => {
    const error = await failureOf(run(name).result);
    expect(error.message).toBe(message);
  });

  it("fails at its deadline and is gone", async () => {
    const error = await failureOf(run("silent", { timeoutMs: 1_000 }).result);
    expect(error.message).toMatch(/^The guest did not say "done" within /);
  });

  it("fails where it says that it is done and does not power off", async () => {
    const error = await failureOf(run("lingering", { timeoutMs: 1_000 }).result);
    expect(error.message).toBe("The guest was done but did not power off.");
  });

  it("ends when it is aborted", async () => {
    const control = new AbortController();
    const { result } = run("silent", { signal: control.signal });
    setTimeout(() => control.abort(), 200);
    await expect(result).rejects.toBeInstanceOf(OperationAbortedError);
  });
});
