import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BoundedLog, LOG_FILE_BYTES, readTail, turnOver } from "../../../src/state/bounded-log.ts";
import { promptly, promptlyNow, putFifo } from "../../support/no-files.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

let folder = "";
let now = "";
let older = "";
let log: BoundedLog;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-log-"));
  [now, older] = [join(folder, "console.log"), join(folder, "console.1.log")];
  log = new BoundedLog({ now, older });
});
afterEach(async () => {
  log.close();
  await rm(folder, { recursive: true });
});

const read = (path: string) => (existsSync(path) ? readFileSync(path, "latin1") : "");

describe("a bounded log", () => {
  it("has what was written at once, for this user alone", () => {
    log.write(Buffer.from("first\n"));
    expect(read(now)).toBe("first\n");
    expect(statSync(now).mode & 0o777).toBe(0o600);
    expect(existsSync(older)).toBe(false);
  });

  it("loses what comes where a fifo has its place, and waits for nobody", async () => {
    putFifo(now);
    promptlyNow(now, () => log.write(Buffer.from("first\n")));
    expect(await promptly(readTail(now))).toBe("");
    putFifo(older);
    expect(await promptly(readTail(older))).toBe("");
  });

  it("makes no file before there is something to write", () => {
    log.close();
    expect(existsSync(now)).toBe(false);
  });

  it("goes on behind what a former run of the machine wrote", () => {
    log.write(Buffer.from("first\n"));
    log.close();
    const next = new BoundedLog({ now, older });
    next.write(Buffer.from("second\n"));
    next.close();
    expect(read(now)).toBe("first\nsecond\n");
  });

  it("counts what a former run wrote towards its bound", async () => {
    await writeFile(now, Buffer.alloc(LOG_FILE_BYTES - 1, "a"));
    log.write(Buffer.from("bb"));
    expect(read(now)).toBe("bb");
    expect(read(older)).toHaveLength(LOG_FILE_BYTES - 1);
  });

  it("keeps the last of all, in order and without a gap, and never grows beyond two files", () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    let all = "";
    for (let round = 0; round < 400; round++) {
      const bytes = Buffer.alloc(1 + random(40_000), String.fromCharCode(97 + (round % 26)));
      all += bytes.toString("latin1");
      log.write(bytes);
      if (round % 50 !== 0) continue;
      for (const path of [now, older]) expect(read(path).length).toBeLessThanOrEqual(LOG_FILE_BYTES);
    }
    const kept = read(older) + read(now);
    expect(kept.length, `seed ${seed}`).toBeGreaterThan(LOG_FILE_BYTES);
    expect(all.endsWith(kept), `seed ${seed}`).toBe(true);
  });

  it("keeps the end of a piece that is larger than a file", () => {
    log.write(Buffer.concat([Buffer.alloc(LOG_FILE_BYTES, "a"), Buffer.from("the end")]));
    expect(read(now)).toHaveLength(LOG_FILE_BYTES);
    expect(read(now).endsWith("the end")).toBe(true);
  });

  it("loses on a full disk what does not fit, and nothing else happens", async () => {
    await symlink("/dev/full", now);
    for (let round = 0; round < 3; round++) expect(() => log.write(Buffer.from("lost\n"))).not.toThrow();
    log.close();
    await rm(now);
    log.write(Buffer.from("kept\n"));
    expect(read(now)).toBe("kept\n");
  });

  it("loses what comes after its folder was removed, and nothing else happens", async () => {
    log.write(Buffer.alloc(LOG_FILE_BYTES));
    await rm(folder, { recursive: true });
    for (let round = 0; round < 3; round++) expect(() => log.write(Buffer.from("lost\n"))).not.toThrow();
    await mkdir(folder);
  });
});

describe("the tail of a log", () => {
  it("is the last 8 KiB of it; nothing where there is no log", async () => {
    expect(await readTail(now)).toBe("");
    await writeFile(now, `${"x".repeat(10_000)}end`);
    const tail = await readTail(now);
    expect(tail).toHaveLength(8 * 1024);
    expect(tail.endsWith("xend")).toBe(true);
  });
});

describe("a log to which another process adds", () => {
  it("is begun again where it is full, and only there", async () => {
    turnOver({ now, older });
    await writeFile(now, Buffer.alloc(LOG_FILE_BYTES));
    turnOver({ now, older });
    expect(read(now)).toHaveLength(LOG_FILE_BYTES);
    await writeFile(now, Buffer.alloc(LOG_FILE_BYTES + 1));
    turnOver({ now, older });
    expect(read(older)).toHaveLength(LOG_FILE_BYTES + 1);
    await writeFile(now, "new");
  });
});
