import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BootError, PortInUseError } from "../../../src/errors.ts";
import { findProcess } from "../../../src/host/process-identity.ts";
import { findQemu } from "../../../src/qemu/binary.ts";
import type { MachineDescription } from "../../../src/qemu/description.ts";
import { createOverlay } from "../../../src/qemu/disk.ts";
import { launchMachine, type QemuMachine } from "../../../src/qemu/machine.ts";
import { runGuest } from "../../../src/qemu/run-guest.ts";
import { tryAccelerator } from "../../../src/qemu/trial.ts";
import { listForwards, removeForward } from "../../../src/qemu/usernet.ts";
import { statePaths } from "../../../src/state/paths.ts";
import { writeBareKernel } from "../../support/bare-kernel.ts";

let home: string;
let kernel: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "smolvm-qemu-"));
  kernel = join(home, "kernel");
  writeBareKernel(kernel, "[    0.1] hello\r\nsmolvm: ready\r\n");
});

afterAll(() => rmSync(home, { recursive: true }));

const state = () => statePaths({ SMOLVM_HOME: home });

function bare(more: Partial<MachineDescription> = {}): MachineDescription {
  return {
    name: "bare, but real",
    arch: "x86_64",
    accelerator: "tcg",
    memoryMib: 64,
    memoryFile: null,
    cpus: 1,
    kernel,
    initramfs: null,
    bootArgs: "console=ttyS0",
    disks: [],
    network: { mode: "open", sshForward: true },
    ...more,
  };
}

async function started(more: Partial<MachineDescription> = {}): Promise<QemuMachine> {
  return launchMachine(bare(more), { state: state(), ephemeralFolder: null });
}

describe("a real QEMU", () => {
  it("says what it can do, once", async () => {
    const qemu = await findQemu("x86_64", state());
    expect(qemu.features.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(qemu.features.accelerators).toContain("tcg");
    expect(qemu.features.vmgenid).toBe(true);
    expect(await findQemu("x86_64", state())).toBe(qemu);
  });

  it("is not asked again by another process, until its file changes or the memory is damaged", async () => {
    const { features } = await findQemu("x86_64", state());
    const other = statePaths({ SMOLVM_HOME: join(home, "other") });
    const remembered = readFileSync(state().qemuFeatures, "utf8");
    const remember = (text: string) => {
      mkdirSync(dirname(other.qemuFeatures), { recursive: true });
      writeFileSync(other.qemuFeatures, text);
    };
    remember(remembered.replace(features.version, "remembered"));
    expect((await findQemu("x86_64", other)).features.version).toBe("remembered");
    const third = { ...other, qemuFeatures: `${other.qemuFeatures}.third` };
    writeFileSync(third.qemuFeatures, remembered.replace(/"bytes":\d+/, '"bytes":1'));
    expect((await findQemu("x86_64", third)).features).toEqual(features);
    const fourth = { ...other, qemuFeatures: `${other.qemuFeatures}.fourth` };
    writeFileSync(fourth.qemuFeatures, remembered.slice(1));
    expect((await findQemu("x86_64", fourth)).features).toEqual(features);
  });

  it("boots a kernel, hears it, pauses and resumes it, and shuts it down by its console", async () => {
    const machine = await started();
    await machine.waitReady({ timeoutMs: 20_000 });
    expect(machine.console.tail).toContain("[    0.1] hello\n");
    expect(machine.sshPort).toBeGreaterThan(0);
    await machine.pause();
    expect(await machine.qmp.execute("query-status")).toMatchObject({ status: "paused" });
    await machine.resume();
    expect(await machine.qmp.execute("query-status")).toMatchObject({ running: true });
    await machine.pause();
    expect(await machine.shutdown({ timeoutMs: 20_000 })).toBe("guest"); // a paused guest too
    expect(await machine.exited).toMatchObject({ exitCode: 0 });
    expect(await findProcess(machine.pid)).toBeUndefined();
  });

  it("takes every kind of disk and no network, and is killed", async () => {
    const base = join(home, "base, really");
    const raw = join(home, "raw.img");
    for (const path of [base, raw])
      await createOverlay({ base: kernel, baseFormat: "raw", path, sizeMib: 64 });
    const path = join(home, "disk, too.qcow2");
    await createOverlay({ base, baseFormat: "qcow2", path, sizeMib: 128 });
    const machine = await started({
      network: null,
      disks: [
        { path, format: "qcow2", readOnly: false, durable: false, backing: { path: base, format: "qcow2" } },
        { path: raw, format: "raw", readOnly: false, durable: true, backing: null },
        {
          path: raw.replace("raw.img", "kernel"),
          format: "raw",
          readOnly: true,
          durable: true,
          backing: null,
        },
      ],
    });
    expect(machine.sshPort).toBeNull();
    const disks = await machine.qmp.execute("query-block");
    expect(JSON.stringify(disks)).toContain("disk2");
    await machine.kill();
    expect(await machine.exited).toMatchObject({ signal: "SIGKILL" });
  });

  it.each([
    [
      "a disk that is not there",
      { disks: [{ path: "/no/disk", format: "raw", readOnly: false, durable: true, backing: null }] },
      "/no/disk",
    ],
    ["a kernel that is not there", { kernel: "/no/kernel" }, "/no/kernel"],
    ["more memory than there is", { memoryMib: 1 << 30 }, "memory"],
  ] as const)("that is given %s says so in a BootError", async (_, more, words) => {
    const error = await started(more).catch((failure) => failure);
    expect(error).toBeInstanceOf(BootError);
    expect(error.message).toMatch(/^QEMU did not start: .*\.$/);
    expect(error.message).toContain(words);
    expect(error.qemuOutput).toContain(words);
  });

  it("is tried like this before it is trusted", async () => {
    const qemu = await findQemu("x86_64", state());
    const guest = { kernel, initramfs: kernel, bootArgs: "", digest: "" };
    const surroundings = { arch: "x86_64" as const, state: state(), qemu };
    expect(await tryAccelerator("tcg", guest, surroundings)).toMatchObject({ works: true });
    const verdict = await tryAccelerator("hvf", guest, surroundings);
    expect(verdict.works).toBe(false);
    expect(verdict.reason).toContain("hvf");
  });

  it("runs a guest that does one piece of work, to its end or its failure", async () => {
    const worker = join(home, "worker");
    const lines: string[] = [];
    const onLine = (line: string) => lines.push(line);
    const machine = {
      arch: "x86_64" as const,
      kernel: worker,
      initramfs: worker,
      bootArgs: "",
      memoryMib: 64,
      cpus: 1,
    };
    const spec = { ...machine, disks: [], onLine, timeoutMs: 20_000 };
    const host = { state: state(), accelerator: "tcg" as const };
    writeBareKernel(worker, "smolvm: progress half\r\nsmolvm: done\r\n", false);
    await runGuest(spec, host);
    expect(lines).toContain("smolvm: progress half");
    writeBareKernel(worker, "smolvm: failed: no luck\r\n");
    await expect(runGuest(spec, host)).rejects.toThrow("The guest could not start: no luck.");
    writeBareKernel(worker, "bye\r\n", false);
    await expect(runGuest(spec, host)).rejects.toThrow("The guest powered off or restarted");
  });
});

describe("forwarded ports of a real QEMU", () => {
  let machine: QemuMachine;
  let taken: Server;
  let takenPort: number;

  beforeAll(async () => {
    machine = await started();
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    takenPort = typeof address === "object" && address ? address.port : 0;
  });

  afterAll(async () => {
    taken.close();
    await machine.kill();
  });

  it("are added, listed and removed", async () => {
    const any = await machine.addForward({ hostAddress: "127.0.0.1", hostPort: 0, guestPort: 8080 });
    const another = await machine.addForward({ hostAddress: "127.0.0.1", hostPort: 0, guestPort: 8080 });
    expect(any.hostPort).toBeGreaterThan(0);
    expect(another.hostPort).not.toBe(any.hostPort);
    expect(await listForwards(machine.qmp)).toEqual(expect.arrayContaining([any, another]));
    await removeForward(machine.qmp, any);
    expect(await listForwards(machine.qmp)).not.toContainEqual(any);
    await removeForward(machine.qmp, any);
    expect(await machine.addForward(any)).toEqual(any); // the very same port is free again
  });

  it("that are taken on the host are a PortInUseError, and nothing is added", async () => {
    const forward = { hostAddress: "127.0.0.1", hostPort: takenPort, guestPort: 80 };
    const error = await machine.addForward(forward).catch((failure) => failure);
    expect(error).toBeInstanceOf(PortInUseError);
    expect(error.message).toContain(`127.0.0.1:${takenPort}`);
    expect(await listForwards(machine.qmp)).not.toContainEqual(forward);
  });

  it("on an address that this host does not have are a NetworkError", async () => {
    const forward = { hostAddress: "192.0.2.1", hostPort: 8080, guestPort: 80 };
    await expect(machine.addForward(forward)).rejects.toMatchObject({
      code: "NETWORK",
      message: expect.stringContaining("EADDRNOTAVAIL"),
    });
  });
});
