import { kill } from "node:process";
import { inspect } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { SmolVM, SmolVMPool, ValidationError, VMStateError } from "../../../src/index.ts";
import { isLeft, pidOf, TINY } from "../../support/machines.ts";

const full = (pool: SmolVMPool, size: number) =>
  vi.waitFor(() => expect(pool.readyCount).toBe(size), { timeout: 60_000, interval: 50 });

describe("a pool of machines", () => {
  it("hands each machine to one customer, starts others meanwhile, and closes whole", async () => {
    const pool = new SmolVMPool({ size: 2, ...TINY });
    await full(pool, 2);
    const vms = await Promise.all([1, 2, 3].map(() => pool.acquire()));
    expect(new Set(vms.map(({ name }) => name)).size).toBe(3);
    const draws = await Promise.all(
      vms.map((vm) => vm.run("head -c 16 /dev/urandom | od -An -tx1; hostname")),
    );
    expect(new Set(draws.map(({ stdout }) => stdout)).size).toBe(3);
    await full(pool, 2);
    expect(inspect(pool)).toMatch(/^SmolVMPool { size: \d, readyCount: \d, status: "open" }$/);
    await pool.close();
    await pool.close();
    expect(inspect(pool)).toMatch(/readyCount: 0, status: "closed" }$/);
    expect(pool.readyCount).toBe(0);
    await expect(pool.acquire()).rejects.toThrow(VMStateError);
    for (const vm of vms) expect((await vm.run("echo still")).output).toBe("still");
    await Promise.all(vms.map((vm) => vm.delete()));
  });

  it("replaces a machine that died while it waited", async () => {
    const create = vi.spyOn(SmolVM, "create");
    await using pool = new SmolVMPool({ size: 1, ...TINY });
    await full(pool, 1);
    const waiting = await create.mock.results[0]?.value;
    kill(await pidOf(waiting), "SIGKILL");
    await using vm = await pool.acquire();
    expect(vm.name).not.toBe(waiting.name);
    expect((await vm.run("echo alive")).output).toBe("alive");
    await vi.waitFor(() => expect(isLeft(waiting)).toBe(false));
    create.mockRestore();
  });

  it("stops waiting when it is told to", async () => {
    await using pool = new SmolVMPool({ size: 1, ...TINY });
    await expect(pool.acquire({ signal: AbortSignal.timeout(1) })).rejects.toThrow();
  });

  it.each([
    { size: 0 },
    { size: 1.5 },
    { size: 1, name: "x" },
    { size: 1, ports: [{ guest: 80, host: 8080 }] },
    { size: 1, nope: 1 },
  ])("refuses %j", (options) => {
    expect(() => new SmolVMPool(options as never)).toThrow(ValidationError);
  });
});
