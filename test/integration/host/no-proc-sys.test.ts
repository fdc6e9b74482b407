import type * as FileSystem from "node:fs";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ProcessIdentity } from "../../../src/host/process-identity.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const NOBODY = 2 ** 30;

const host = vi.hoisted(() => ({ hides: "" }));
vi.mock("node:fs", async (load) => {
  const real = await load<typeof FileSystem>();
  const readFileSync = (...args: Parameters<typeof real.readFileSync>) => {
    if (host.hides === "" || args[0] !== BOOT_ID) return real.readFileSync(...args);
    throw Object.assign(new Error(`${host.hides}: ${BOOT_ID}`), { code: host.hides });
  };
  return { ...real, readFileSync, default: { ...real, readFileSync } };
});

let folder: StateFolder;
beforeEach(async () => {
  host.hides = "";
  folder = await useStateFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** A program that begins now: where it runs is looked at once. */
async function begin(hides: string) {
  vi.resetModules();
  host.hides = hides;
  return {
    ...(await import("../../../src/host/process-identity.ts")),
    ...(await import("../../../src/host/lock.ts")),
    ...(await import("../../../src/sandbox/upkeep/prune.ts")),
  };
}

/** One that has ended, written down by a program that could read the boot id, and by one that could not. */
const deadOnes = (): ProcessIdentity[] => {
  const { me } = folder;
  return [
    { ...me, pid: NOBODY },
    { ...me, pid: NOBODY, bootId: "" },
    { ...me, startedAt: "1" },
    { ...me, startedAt: "1", bootId: "" },
  ];
};

describe.each(["ENOENT", "EACCES", "EPERM"])("a program that can't read the host's boot id (%s)", (code) => {
  it("takes nobody for dead, and those who live for what they are", async () => {
    const { findProcess, findSelf, judgeProcess } = await begin(code);
    expect((await findSelf()).bootId).toBe("");
    for (const each of deadOnes())
      expect(await judgeProcess(each)).toEqual({ life: "unknown", why: expect.stringContaining("boot_id") });
    const parent = await findProcess(process.ppid);
    expect(await judgeProcess(parent as ProcessIdentity)).toEqual({ life: "alive", why: "" });
    expect((await judgeProcess(await findSelf())).life).toBe("alive");
    expect((await judgeProcess(folder.me)).life).toBe("alive");
  });

  it("removes no machine, and takes no lock over, and says why", async () => {
    const { prune, tryLock } = await begin(code);
    const status = { phase: "running", reason: "", since: "2026-01-02T03:04:05.678Z" } as const;
    const lock = join(folder.state.home, ".lock-x");
    for (const [index, owner] of deadOnes().entries()) {
      const { paths } = await folder.put(`box${index}`, { owner, wasBooted: true, status });
      await writeFile(lock, JSON.stringify(owner));
      await expect(tryLock(lock)).rejects.toMatchObject({ code: "LOCK_UNCLEAR" });
      expect((await prune()).items.at(-1)).toMatchObject({
        ...{ kind: "machine", name: `box${index}`, removed: false, left: true },
        reason: expect.stringContaining("boot_id"),
      });
      expect(existsSync(paths.record)).toBe(true);
    }
  });
});

it("a boot id that can't be read for a moment is not taken for one that is hidden", async () => {
  const { judgeProcess } = await begin("EMFILE");
  for (const each of deadOnes()) expect((await judgeProcess(each)).life).toBe("unknown");
  host.hides = "";
  for (const each of deadOnes().filter(({ bootId }) => bootId !== ""))
    expect((await judgeProcess(each)).life).toBe("dead");
});
