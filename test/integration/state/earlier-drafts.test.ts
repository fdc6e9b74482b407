import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { type FileHandle, mkdir, open, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prune } from "../../../src/sandbox/upkeep/prune.ts";
import { type StateFolder, useStateFolder } from "../../support/state-folder.ts";

let folder: StateFolder;
let file: FileHandle | null = null;
beforeEach(async () => {
  folder = await useStateFolder();
});
afterEach(async () => {
  await file?.close();
  file = null;
  await folder[Symbol.asyncDispose]();
});

/** As earlier versions named them: nobody, and a process without its container. */
const PLAIN = ".draft-a1B2c3";
const tagOf = (words: string) => createHash("sha256").update(words).digest("hex").slice(0, 12);
const madeBy = (pid: number, words: string) => `.draft-${pid}-${tagOf(words)}-a1B2c3`;
const ofTheDead = () => madeBy(process.pid, "long ago");
const ofThis = () => madeBy(process.pid, `${folder.me.startedAt} ${folder.me.bootId}`);

const DAY_MS = 86_400_000;

/** With a file in it; both were written to so long ago. */
async function putDraft(parent: string, name: string, ageMs: number): Promise<string> {
  const draft = join(parent, name);
  await mkdir(draft, { recursive: true });
  await writeFile(join(draft, "memory"), "x");
  const then = new Date(Date.now() - ageMs);
  for (const path of [join(draft, "memory"), draft]) await utimes(path, then, then);
  return draft;
}

describe("a draft with a name of an earlier version's", () => {
  it.each([
    ["machine", () => folder.state.machines],
    ["snapshot", () => folder.state.snapshots],
  ])("of a %s is removed by prune when nobody can be at it any more", async (_, parent) => {
    const drafts = await Promise.all(
      [PLAIN, ofTheDead()].map((name) => putDraft(parent(), name, 2 * DAY_MS)),
    );
    const { items } = await prune();
    expect(items.map(({ removed }) => removed)).toEqual([true, true]);
    expect(drafts.filter(existsSync)).toEqual([]);
  });

  it("is left, and named with the reason, as long as a call could be at it that is under way", async () => {
    const young = await putDraft(folder.state.snapshots, PLAIN, 0);
    const grown = await putDraft(folder.state.machines, ofTheDead(), 2 * DAY_MS);
    await writeFile(join(grown, "machine.json"), "");
    const { items } = await prune();
    expect(items.map(({ path }) => path).sort()).toEqual([young, grown].sort());
    for (const item of items)
      expect(item).toMatchObject({
        left: true,
        removed: false,
        reason: expect.stringContaining("less than a day ago"),
      });
    expect([young, grown].filter(existsSync)).toHaveLength(2);
  });

  it("is left where a process has a file of it open, which is named", async () => {
    const draft = await putDraft(folder.state.snapshots, PLAIN, 2 * DAY_MS);
    file = await open(join(draft, "memory"), "r");
    const { items } = await prune();
    expect(items).toMatchObject([
      { left: true, reason: expect.stringContaining(`process ${process.pid} has`) },
    ]);
    expect(existsSync(draft)).toBe(true);
  });

  it("is no leftover while its maker lives", async () => {
    const draft = await putDraft(folder.state.machines, ofThis(), 2 * DAY_MS);
    expect((await prune()).items).toEqual([]);
    expect(existsSync(draft)).toBe(true);
  });
});
