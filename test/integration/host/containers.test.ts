import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acquireLock, judgeLock, tryLock } from "../../../src/host/lock.ts";
import { judgeProcess } from "../../../src/host/process-identity.ts";
import { eventually } from "../../support/eventually.ts";
import { type Contained, runContained } from "../../support/other-container.ts";

let folder = "";
let path = "";
let other: Contained;

/** Holds the lock until it is told to let go. */
const HOLD = (at: string) => `
  const { tryLock } = await import(dist("host/lock.js"));
  const release = await tryLock(${JSON.stringify(at)});
  console.log(release ? "held" : "refused");
  process.stdin.once("data", async () => { await release(); console.log("released"); process.exit(); });`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-containers-"));
  path = join(folder, "lock");
  other = runContained(HOLD(path));
  expect(await other.line()).toBe("held");
});
afterEach(async () => {
  await other.kill();
  await rm(folder, { recursive: true });
});

describe("a lock that a process in another container holds", () => {
  it("is not taken while that one lives, though its id is nobody's here", async () => {
    const { life, holder } = await judgeLock(path);
    expect(life).toBe("alive");
    if (!holder) throw new Error("nobody holds it");
    expect(await judgeProcess(holder)).toMatchObject({ life: "unknown" });
    expect(await tryLock(path)).toBeUndefined();
  });

  it("is had when that one lets go", async () => {
    const waiting = acquireLock(path, { operation: "Waiting" });
    other.child.stdin?.write("go\n");
    await (await waiting)();
    expect(await readdir(folder)).toEqual([]);
  });

  it("is had when its whole container was killed, and nothing is left of it", async () => {
    await other.kill();
    await eventually(async () => (await judgeLock(path)).life === "dead", "it is proved to be free");
    await (await acquireLock(path, { operation: "Waiting" }))();
    expect(await readdir(folder)).toEqual([]);
  });

  it("is had by one of two others, and never by both", async () => {
    await other.kill();
    await eventually(async () => (await judgeLock(path)).life === "dead", "it is proved to be free");
    const contenders = [1, 2].map(() => runContained(HOLD(path)));
    expect((await Promise.all(contenders.map((each) => each.line()))).sort()).toEqual(["held", "refused"]);
    for (const each of contenders) await each.kill();
  });

  it("whose socket somebody has removed is refused with the file's name, never taken", {
    timeout: 60_000,
  }, async () => {
    const { nonce } = JSON.parse(await readFile(path, "utf8"));
    await rm(`${path}.${nonce}`);
    const refusal = {
      code: "LOCK_UNCLEAR",
      message: expect.stringMatching(
        /it is not known whether .* still holds it \(.*another PID namespace.*\)\.$/,
      ),
      remediation: expect.stringContaining(`rm '${path}'`),
    };
    await expect(tryLock(path)).rejects.toMatchObject(refusal);
    await expect(acquireLock(path, { operation: "Waiting" })).rejects.toMatchObject(refusal);
    expect((await readdir(folder)).sort()).toEqual(["lock"]);
  });

  it("is not proved free by a socket of the same name that another one has made", async () => {
    const claim = JSON.parse(await readFile(path, "utf8"));
    await writeFile(join(folder, "second"), JSON.stringify({ ...claim, nonce: "other" }));
    await other.kill();
    await eventually(async () => (await judgeLock(path)).life === "dead", "it is proved to be free");
    expect(await judgeLock(join(folder, "second"))).toMatchObject({ life: "unknown" });
  });
});

it("a lock whose file is written in words of a later version is not taken", async () => {
  const later = join(folder, "later");
  await writeFile(later, '{"format":2}');
  await expect(tryLock(later)).rejects.toMatchObject({ code: "LOCK_UNCLEAR" });
});
