import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acquireLock } from "../../../src/host/lock.ts";
import { DISCARDED_PREFIX } from "../../../src/host/whole-folder.ts";
import { doctor, prune } from "../../../src/index.ts";
import { imageBuildPaths, machinePaths, templatePaths } from "../../../src/state/paths.ts";
import { leaveSocket } from "../../support/dead-socket.ts";
import { ended } from "../../support/machine-records.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";
import { storeImage } from "../../support/stored-images.ts";

let home: StateFolder;
beforeEach(async () => {
  home = await useStateFolder();
});
afterEach(() => home[Symbol.asyncDispose]());

function leave(name: string): void {
  const folder = join(home.state.images, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "rootfs.ext4"), Buffer.alloc(100_000, 1));
}

describe("what builders of images left that died", () => {
  it("is removed by prune, and neither an image nor what somebody builds", async () => {
    await storeImage(home.state, "debian", "1");
    const names = [".draft-debian-x86_64-dead00", ".draft-tiny-x86_64-dead00", `${DISCARDED_PREFIX}dead00`];
    for (const name of names) leave(name);
    const release = await acquireLock(imageBuildPaths(home.state, "tiny-x86_64").lock, { operation: "x" });
    const seen = await prune({ dryRun: true });
    const [debian, tiny, discarded] = names;
    expect(seen.items.map(({ kind, name }) => [kind, name]).sort()).toEqual(
      [debian, discarded].map((name) => ["image draft", name]).sort(),
    );
    expect(seen.items.every(({ sizeBytes }) => sizeBytes > 50_000)).toBe(true);
    await prune();
    const left = readdirSync(home.state.images).filter((name) => !name.startsWith(".lock-"));
    expect(left.sort()).toEqual([tiny, "debian-x86_64-1111111111111111"]);
    await release();
    expect((await prune()).items.map(({ name }) => name)).toEqual([tiny]);
  });
});

/** What a process leaves that was killed while it held the lock: the file, its socket, and what it wrote to try for it. */
async function leaveLock(lock: string): Promise<void> {
  mkdirSync(dirname(lock), { recursive: true });
  const nonce = "0badcafe";
  await leaveSocket(`${lock}.${nonce}`);
  for (const file of [lock, `${lock}.3f0c`])
    writeFileSync(file, JSON.stringify({ ...ended(home.me), nonce }));
  utimesSync(`${lock}.3f0c`, 1, 1);
}

describe("locks of makers that were killed", () => {
  const locks = () => [
    imageBuildPaths(home.state, "debian-x86_64").lock,
    templatePaths(home.state, "abc123").lock,
    machinePaths(home.state, "box").takeover,
  ];
  const namesBeside = (lock: string) => readdirSync(dirname(lock));

  it("go with all that lies beside them by prune, which names each once", async () => {
    for (const lock of locks()) await leaveLock(lock);
    const before = await prune({ dryRun: true });
    expect(before.items.map(({ kind, path }) => [kind, path]).sort()).toEqual(
      locks()
        .map((lock) => ["lock", lock])
        .sort(),
    );
    for (const { removed, error } of (await prune()).items)
      expect({ removed, error }).toEqual({ removed: true, error: null });
    for (const lock of locks()) expect(namesBeside(lock)).toEqual([]);
    expect((await prune()).items).toEqual([]);
  });

  it("are no leftover while somebody holds them, and a dead one's is held by one alone who waits as they go", async () => {
    for (const lock of locks()) {
      mkdirSync(dirname(lock), { recursive: true });
      const release = await acquireLock(lock, { operation: "Holding it" });
      expect((await prune()).items).toEqual([]);
      expect(existsSync(lock)).toBe(true);
      await release();
      await leaveLock(lock);
      let holders = 0;
      const hold = async () => {
        const letGo = await acquireLock(lock, { operation: "Waiting for it" });
        expect(++holders).toBe(1);
        await sleep(20);
        expect(existsSync(lock)).toBe(true);
        holders--;
        await letGo();
      };
      await Promise.all([hold(), prune(), hold(), prune(), hold()]);
      await prune();
      expect(namesBeside(lock)).toEqual([]);
    }
  });
});

describe("smolvm doctor", () => {
  it("lacks nothing where no image is built: a machine builds what it needs", async () => {
    const { checks } = await doctor();
    const seen = checks.filter(({ name }) => name === "accelerator" || name === "images");
    expect(seen).toEqual([
      { name: "accelerator", ok: true, detail: expect.stringMatching(/^(not tried yet|tcg)/) },
      { name: "images", ok: true, detail: expect.stringContaining("none built yet") },
    ]);
  });

  it("asks for no program that nothing uses", async () => {
    const { checks } = await doctor();
    expect(checks.map(({ name }) => name)).toContain("qemu");
    expect(JSON.stringify(checks)).not.toContain("qemu-img");
  });
});
