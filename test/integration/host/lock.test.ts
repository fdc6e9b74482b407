import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError } from "../../../src/errors.ts";
import { acquireLock as acquire, judgeLock, type LockOptions, tryLock } from "../../../src/host/lock.ts";
import { findProcess } from "../../../src/host/process-identity.ts";
import { promptly, putFifo } from "../../support/no-files.ts";

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-lock-"));
  path = join(folder, ".lock-x");
});
afterEach(() => rm(folder, { recursive: true }));

const acquireLock = (at: string, options: Partial<LockOptions> = {}) =>
  acquire(at, { operation: "Waiting", ...options });

describe("a lock", () => {
  it("is held by one at a time, in turn", async () => {
    let holders = 0;
    const order: number[] = [];
    const worker = async (id: number) => {
      const release = await acquireLock(path);
      holders += 1;
      expect(holders).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      order.push(id);
      holders -= 1;
      await release();
    };
    await Promise.all([1, 2, 3].map(worker));
    expect(order.sort()).toEqual([1, 2, 3]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("tells a waiting one, once, who holds it", async () => {
    const release = await acquireLock(path);
    const holders: number[] = [];
    const second = acquireLock(path, { onWait: ({ pid }) => holders.push(pid) });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await release();
    await (await second)();
    expect(holders).toEqual([process.pid]);
  });

  it("dies with the process that holds it", async () => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    await writeFile(path, JSON.stringify(await findProcess(child.pid ?? 0)));
    const waiting = acquireLock(path);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(existsSync(path)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    await (await waiting)();
    expect(existsSync(path)).toBe(false);
  });

  it.each(["", "\0\0\0\0"])("whose file says %j, as after a power failure, is nobody's", async (content) => {
    await writeFile(path, content);
    await (await acquireLock(path))();
    expect(await readdir(folder)).toEqual([]);
  });

  it.each(["garbage", '{"pid":', "7 of another program", "{}"])(
    "whose file says %j may be somebody's: it is not taken",
    async (content) => {
      await writeFile(path, content);
      expect(await judgeLock(path)).toMatchObject({
        life: "unknown",
        why: "its file can't be understood",
        holder: undefined,
      });
      await expect(tryLock(path)).rejects.toMatchObject({ code: "LOCK_UNCLEAR" });
      expect(await readFile(path, "utf8")).toBe(content);
      expect(await readdir(folder)).toEqual([basename(path)]);
    },
  );

  it("whose dead holder's place can't be claimed, because a fifo is in the way, names that fifo", async () => {
    await writeFile(path, "");
    const inTheWay = `${path}.takeover-${createHash("sha256").update("").digest("hex").slice(0, 16)}`;
    putFifo(inTheWay);
    await expect(promptly(tryLock(path))).rejects.toMatchObject({
      code: "LOCK_UNCLEAR",
      message: expect.stringContaining(`${inTheWay} is a fifo, and no file`),
      remediation: expect.stringMatching(/ rm '?\S*\.takeover-[0-9a-f]{16}'?$/),
    });
    await rm(inTheWay);
    await (await promptly(acquireLock(path)))();
    expect(await readdir(folder)).toEqual([]);
  });

  it("removes, when it is let go of, what takers left that died as they tried", async () => {
    const [old, young, foreign] = ["x.old", "x.young", "y.old"].map((name) => join(folder, `.lock-${name}`));
    for (const each of [old, young, foreign]) await writeFile(each ?? "", "");
    for (const each of [old, foreign]) await utimes(each ?? "", 1, 1);
    await (await acquireLock(path))();
    expect((await readdir(folder)).sort()).toEqual([".lock-x.young", ".lock-y.old"]);
  });

  it("is waited for until an abort", async () => {
    const release = await acquireLock(path);
    const signal = AbortSignal.timeout(100);
    await expect(acquireLock(path, { signal })).rejects.toBeInstanceOf(OperationAbortedError);
    await release();
    expect(await readdir(folder)).toEqual([]);
  });

  it("that was taken over is not let go of by the one who lost it", async () => {
    const release = await acquireLock(path);
    await writeFile(path, "somebody else's");
    await release();
    expect(existsSync(path)).toBe(true);
  });
});
