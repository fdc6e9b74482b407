import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tryLock } from "../../../src/host/lock.ts";
import { type HeldMachine, holdMachine } from "../../support/held-machine.ts";
import { ended } from "../../support/machine-records.ts";
import { runStarved } from "../../support/starved.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let victim: HeldMachine;
beforeEach(async () => {
  folder = await useStateFolder();
  victim = await holdMachine(folder, "victim", { persistent: false });
});
afterEach(async () => {
  victim.server.close();
  await folder[Symbol.asyncDispose]();
});

const names = async () => (await readdir(folder.state.machines)).filter((name) => !name.startsWith("."));
const recordOfVictim = () => readFile(victim.machine.folder?.record ?? "", "utf8");
const starve = (before: string, code: string) =>
  runStarved(before, code, { SMOLVM_HOME: folder.state.home, SMOLVM_DEBIAN_MIRROR: "http://127.0.0.1:9" });

describe("a program that has run out of open files", () => {
  it("removes no machine of another by prune, and claims none", async () => {
    const before = await recordOfVictim();
    const claimed = await starve(
      'const { prune } = await import(dist("index.js")); await prune();',
      `let claimed = 0;
      for (; !isOver(); await new Promise((resolve) => setImmediate(resolve))) {
        const { items } = await prune().catch(() => ({ items: [] }));
        claimed += items.filter((item) => item.removed).length;
      }
      tell(claimed);`,
    );
    expect(claimed).toBe(0);
    expect(await names()).toEqual(["victim"]);
    expect(await recordOfVictim()).toBe(before);
  });

  it("removes none by starting machines, but for those that are left", async () => {
    const before = await recordOfVictim();
    const status = { phase: "running", reason: "", since: "2026-01-02T03:04:05.678Z" } as const;
    const { paths } = await folder.put("left", { owner: ended(folder.me), wasBooted: true, status });
    await mkdir(join(folder.state.machines, ".discarded-abc"));
    // A start looks once a second for each state folder by its path: here it is another one each time.
    const collected = await starve(
      `const { SmolVM } = await import(dist("index.js"));
      const { collectLeftovers } = await import(dist("sandbox/upkeep/leftovers.js"));
      const { statePaths } = await import(dist("state/paths.js"));
      const start = () => new SmolVM({ image: "tiny" }).start().catch((error) => error.name);`,
      `const left = ${JSON.stringify(paths.folder)};
      let times = 0;
      const starting = start();
      for (; !isOver(); await new Promise((resolve) => setTimeout(resolve, 40)))
        collectLeftovers({ ...statePaths(), home: String(times++) });
      // With files again, it does what it is for.
      clearInterval(flap);
      for (const file of files.splice(0)) closeSync(file);
      for (const endMs = Date.now() + 10_000; existsSync(left) && Date.now() < endMs; await new Promise((resolve) => setTimeout(resolve, 500)))
        collectLeftovers({ ...statePaths(), home: String(times++) });
      tell([await starting, times > 10]);`,
    );
    expect(collected).toEqual([expect.stringMatching(/Error$/), true]);
    expect(await names()).toEqual(["victim"]);
    expect(existsSync(join(folder.state.machines, ".discarded-abc"))).toBe(false);
    expect(await recordOfVictim()).toBe(before);
  });

  it("takes no lock that another one has, nor one twice", async () => {
    const held = join(folder.state.home, ".lock-held");
    const release = await tryLock(held);
    const before = await readFile(held, "utf8");
    const free = join(folder.state.home, ".lock-free");
    const taken = await starve(
      'const { tryLock } = await import(dist("host/lock.js"));',
      `const [held, free] = ${JSON.stringify([held, free])};
      const counts = { held: 0, free: 0, twice: 0 };
      let holders = 0;
      const work = async () => {
        while (!isOver()) {
          if (await tryLock(held).catch(() => undefined)) counts.held++;
          const release = await tryLock(free).catch(() => undefined);
          if (release) {
            counts.free++;
            if (++holders > 1) counts.twice++;
            await new Promise((resolve) => setImmediate(resolve));
            holders--;
            await release().catch(() => {});
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      await Promise.all([work(), work(), work()]);
      tell({ ...counts, free: counts.free > 0 });`,
    );
    expect(taken).toEqual({ held: 0, free: true, twice: 0 });
    expect(await readFile(held, "utf8")).toBe(before);
    await release?.();
    expect(existsSync(held)).toBe(false);
  });
});
