import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BootError } from "../../../src/errors.ts";
import type { MachineDescription } from "../../../src/qemu/description.ts";
import { launchMachine, type QemuMachine } from "../../../src/qemu/machine.ts";
import { statePaths } from "../../../src/state/paths.ts";
import { writeBareKernel } from "../../support/bare-kernel.ts";

let home: string;
let saved: { statePath: string; memoryPath: string };

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "smolvm-save-"));
  saved = { statePath: join(home, "state"), memoryPath: join(home, "memory, of all") };
  writeBareKernel(join(home, "kernel"), "smolvm: ready\r\n");
  const machine = await launchMachine(bare(true), { state: state(), ephemeralFolder: null });
  await machine.waitReady({ timeoutMs: 20_000 });
  await machine.save({ statePath: saved.statePath, timeoutMs: 20_000 });
  await machine.kill();
});

afterAll(() => rmSync(home, { recursive: true }));

const state = () => statePaths({ SMOLVM_HOME: home });

function bare(shared: boolean): MachineDescription {
  return {
    name: "bare, but real",
    arch: "x86_64",
    accelerator: "tcg",
    memoryMib: 64,
    memoryFile: { path: saved.memoryPath, shared },
    cpus: 1,
    kernel: join(home, "kernel"),
    initramfs: null,
    bootArgs: "console=ttyS0",
    disks: [],
    network: { mode: "open", sshForward: true },
  };
}

async function restore(statePath = saved.statePath): Promise<QemuMachine> {
  const file = await open(statePath, "r");
  try {
    return await launchMachine(bare(false), {
      state: state(),
      ephemeralFolder: null,
      saved: { fd: file.fd, leavesMemoryOut: true },
    });
  } finally {
    await file.close();
  }
}

describe("a machine that was saved by a real QEMU", () => {
  it("leaves its memory where it is, and a state that is small", () => {
    expect(readFileSync(saved.memoryPath).includes("smolvm: ready")).toBe(true);
    expect(readFileSync(saved.statePath).length).toBeLessThan(4 * 1024 * 1024);
  });

  it("is restored side by side, paused, each with a port of its own, and goes on where it was", async () => {
    const memory = readFileSync(saved.memoryPath);
    const clones = await Promise.all([restore(), restore()]);
    for (const clone of clones) {
      expect(await clone.qmp.execute("query-status")).toMatchObject({ status: "paused" });
      await clone.resume();
    }
    expect(clones[0]?.sshPort).not.toBe(clones[1]?.sshPort);
    for (const clone of clones) {
      clone.console.requestPoweroff(1_000); // which the kernel waits for where it was saved
      expect(await clone.exited).toMatchObject({ exitCode: 0 });
    }
    expect(readFileSync(saved.memoryPath).equals(memory)).toBe(true);
  });

  it.each(["cut short", "empty", "noise"])("whose state is %s is refused by a BootError", async (kind) => {
    const path = join(home, kind);
    const whole = readFileSync(saved.statePath);
    writeFileSync(path, kind === "noise" ? Buffer.alloc(1000, "x") : whole);
    if (kind === "cut short") truncateSync(path, Math.floor(whole.length / 2));
    if (kind === "empty") truncateSync(path, 0);
    const error = await restore(path).then(
      (machine) => machine.kill(),
      (failure) => failure,
    );
    expect(error).toBeInstanceOf(BootError);
    expect(error.message).toMatch(/^The saved machine could not be restored: .*\.$/);
  });
});
