import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findProcess } from "../../../src/host/process-identity.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

const LOCK = JSON.stringify(new URL("../../../dist/host/lock.js", import.meta.url).href);
/** Tries for each path that it is told, several times at once; says how often it got the lock, and lets go when told again. */
const CONTENDER = `
  import { createInterface } from "node:readline";
  import { tryLock } from ${LOCK};
  console.log("ready");
  let held = [];
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "release") for (const release of held) await release();
    else held = (await Promise.all([tryLock(line), tryLock(line)])).filter(Boolean);
    console.log(line === "release" ? "released" : String(held.length));
  }`;
const CONTENDERS = 4;
const ROUNDS = 60;

interface Contender {
  readonly child: ChildProcess;
  readonly answers: AsyncIterator<string>;
  readonly lines: Interface;
}

let folder = "";
let contenders: Contender[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-lock-"));
  contenders = Array.from({ length: CONTENDERS }, () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", CONTENDER], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout });
    return { child, lines, answers: lines[Symbol.asyncIterator]() };
  });
  await Promise.all(contenders.map(({ answers }) => answers.next()));
});
afterEach(async () => {
  for (const { child } of contenders) child.stdin?.end();
  await Promise.all(
    contenders.map(({ child }) => (child.exitCode === null ? once(child, "exit") : undefined)),
  );
  await rm(folder, { recursive: true });
});

async function askAll(line: string): Promise<string[]> {
  return Promise.all(
    contenders.map(async ({ child, answers }) => {
      child.stdin?.write(`${line}\n`);
      return String((await answers.next()).value);
    }),
  );
}

describe("a lock that several processes want at once", () => {
  it("goes to exactly one of them, whatever dead holders left there", { timeout: 60_000 }, async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const dead = JSON.stringify({ ...(await findProcess(process.pid)), startedAt: "long ago" });
    for (let round = 0; round < ROUNDS; round++) {
      const path = join(folder, `lock-${round}`);
      const left = [undefined, "", "\0".repeat(200), dead][random(4)];
      if (left !== undefined) await writeFile(path, left);
      if (left !== undefined && random(2) === 0) await writeFile(claimOn(path, left), dead);
      const won = (await askAll(path)).reduce((sum, count) => sum + Number(count), 0);
      expect(won, `seed ${seed}, round ${round}, left there: ${left}`).toBe(1);
      const holder = JSON.parse(await readFile(path, "utf8")).pid;
      expect(contenders.map(({ child }) => child.pid)).toContain(holder);
      await askAll("release");
    }
    expect(await readdir(folder)).toEqual([]);
  });
});

/** What is left of one who died as he removed the lock of a dead holder. */
function claimOn(path: string, left: string): string {
  return `${path}.takeover-${createHash("sha256").update(left).digest("hex").slice(0, 16)}`;
}
