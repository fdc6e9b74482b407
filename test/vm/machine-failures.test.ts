import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  BootError,
  HostError,
  ImageError,
  OperationAbortedError,
  PortInUseError,
  SmolVM,
  ValidationError,
} from "../../src/index.ts";
import { QmpClient } from "../../src/qemu/qmp/client.ts";
import { statePaths } from "../../src/state/paths.ts";
import { bounded } from "../../src/util/bounded.ts";
import { eventually } from "../support/eventually.ts";
import { firstLine, fresh, isAlive, isLeft, startProgram, TINY } from "../support/machines.ts";

afterEach(() => vi.restoreAllMocks());

describe("a start that fails", () => {
  it.each([
    ["an accelerator that this host lacks", { ...TINY, accelerator: "hvf" }, HostError],
    ["an unknown image", { image: "debain" }, ImageError],
    ["a disk smaller than the image", { diskSizeMib: 100 }, ValidationError],
    [
      "a kernel that is not there",
      { kernelPath: "/nowhere", rootfsPath: "/nowhere", bootArgs: "" },
      ValidationError,
    ],
  ] as const)("for %s leaves nothing", async (_, options, kind) => {
    const { name } = fresh();
    await expect(SmolVM.create({ ...options, name })).rejects.toThrow(kind);
    expect(isLeft({ name })).toBe(false);
  });

  it("for a taken port leaves nothing, and names the port", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const options = fresh();
    const failed = SmolVM.create({ ...options, ports: [{ guest: 80, host: port }] });
    await expect(failed).rejects.toThrow(PortInUseError);
    await expect(failed).rejects.toThrow(String(port));
    server.close();
    expect(isLeft(options)).toBe(false);
  });

  it("by an abort at any moment leaves nothing", async () => {
    // A clone is up soon after the last of these; only a cold boot takes longer.
    for (const afterMs of [0, 5, 20, 50, 100, 300, 1500]) {
      const options = { ...fresh(), template: afterMs < 200 ? "auto" : "off" } as const;
      const failed = SmolVM.create({ ...options, signal: AbortSignal.timeout(afterMs) });
      await expect(failed).rejects.toThrow(OperationAbortedError);
      expect(isLeft(options)).toBe(false);
    }
  });

  it.each(["auto", "off"] as const)(
    "for want of time (template %s) names the time that it had",
    async (template) => {
      const vm = new SmolVM({ ...fresh(), template });
      const error = await vm.start({ timeout: 0.1 }).catch((failure: unknown) => failure);
      expect(String(error)).toMatch(/^(BootError|OperationTimeoutError): .*within 0\.1 s/);
      expect(isLeft(vm)).toBe(false);
      await vm.delete();
    },
  );

  it("because QEMU says nothing ends when its time is up", async () => {
    vi.spyOn(QmpClient, "connect").mockImplementation((_stream, { signal, timeoutMs } = {}) =>
      bounded(new Promise<never>(() => {}), {
        operation: "Asking QEMU",
        timeoutMs: timeoutMs ?? 30_000,
        signal,
      }),
    );
    const vm = new SmolVM({ ...fresh(), template: "off" });
    const startedMs = performance.now();
    const error = await vm.start({ timeout: 2 }).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(BootError);
    expect(String(error)).toContain("within 2 s");
    expect(performance.now() - startedMs).toBeLessThan(20_000); // QEMU alone would have 30 s
    expect(isLeft(vm)).toBe(false);
    await vm.delete();
  });

  it("by deletion ends at once, and leaves nothing", async () => {
    const vm = new SmolVM(TINY);
    const started = expect(vm.start()).rejects.toThrow(OperationAbortedError);
    await vm.delete();
    await started;
    expect(isLeft(vm)).toBe(false);
  });

  it("because QEMU is missing says how to install it", async () => {
    const program = startProgram(
      `await SmolVM.create({ image: "tiny" }).catch((e) => tell([e.name, e.remediation]));`,
      [],
      {
        ...process.env,
        PATH: "/nowhere",
      },
    );
    const [name, remediation] = (await firstLine(program)) as [string, string];
    expect(name).toBe("HostError");
    expect(remediation).toMatch(/qemu/);
  });
});

describe("a machine whose program dies", () => {
  it.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
    "by %s is gone within two seconds, with all its files",
    async (signal) => {
      const options = fresh();
      const body = `const vm = await SmolVM.create(${JSON.stringify(options)}); tell((await vm.info()).pid); setInterval(() => {}, 1000);`;
      const program = startProgram(body);
      const pid = Number(await firstLine(program));
      expect(isAlive(pid)).toBe(true);
      program.kill(signal);
      await eventually(() => !isAlive(pid) && !isLeft(options), "the machine is gone", 2_000);
    },
  );

  it("while it starts is gone as well", async () => {
    const options = fresh();
    const body = `void new SmolVM(${JSON.stringify(options)}).start(); setTimeout(() => tell(1), 400);`;
    const program = startProgram(body);
    await firstLine(program);
    program.kill("SIGKILL");
    await eventually(() => !isLeft(options), "the machine is gone", 2_000);
  });

  it("by its own end without delete() is gone as well", async () => {
    const options = fresh();
    const program = startProgram(
      `const vm = await SmolVM.create(${JSON.stringify(options)}); tell((await vm.info()).pid);`,
    );
    const pid = Number(await firstLine(program));
    await eventually(() => !isAlive(pid) && !isLeft(options), "the machine is gone", 2_000);
  });

  it.each(["", "await vm.waitForSsh(); await vm.run('true');"])(
    "ends by itself though it never deleted a machine that it used (%j)",
    async (more) => {
      const options = fresh();
      const program = startProgram(
        `const vm = await SmolVM.create(${JSON.stringify(options)}); await vm.run("true"); ${more} tell(1);`,
      );
      await firstLine(program);
      const patience = setTimeout(() => program.kill("SIGKILL"), 20_000);
      const [exitCode] = program.exitCode === null ? await once(program, "exit") : [program.exitCode];
      clearTimeout(patience);
      expect(exitCode).toBe(0);
      await eventually(() => !isLeft(options), "its machine is gone");
    },
  );
});

describe("a full host disk", () => {
  it("is an error that the guest sees; the machine lives on", async () => {
    const home = await mkdtemp(join(tmpdir(), "smolvm-full-"));
    const state = statePaths();
    try {
      const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
      const mount = `mount -t tmpfs -o size=40m none ${home} && mkdir ${home}/images && mount --bind ${state.images} ${home}/images && exec "$@"`;
      const body = `await SmolVM.use({}, async (vm) => {
        let ticks = 0;
        const ticking = vm.run("while :; do echo tick; sleep 0.1; done", { timeout: null, onStdout: () => { ticks += 1; } });
        ticking.catch(() => {});
        const full = await vm.run("dd if=/dev/urandom of=/big bs=1M count=100 conv=fsync", { timeout: 90 });
        const before = ticks;
        for (let waits = 0; waits < 100 && ticks < before + 3; waits += 1) await new Promise((r) => setTimeout(r, 100));
        tell([full.exitCode, full.stderr, ticks > before, vm.status]);
      });`;
      const program = startProgram(body, ["unshare", "--mount", ...asRoot, "sh", "-c", mount, "sh"], {
        ...process.env,
        SMOLVM_HOME: home,
      });
      const [exitCode, stderr, goesOn, status] = (await firstLine(program)) as [
        number,
        string,
        boolean,
        string,
      ];
      expect(exitCode).not.toBe(0);
      expect(stderr).toMatch(/No space left|Input\/output error|Read-only file system/);
      expect([goesOn, status]).toEqual([true, "running"]);
      await once(program, "close");
    } finally {
      await rm(home, { recursive: true });
    }
  });
});
