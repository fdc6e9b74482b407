import { appendFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ValidationError } from "../../../src/errors.ts";
import type { Handle } from "../../../src/sandbox/machine/handle.ts";
import { type LogsOptions, readLogs } from "../../../src/sandbox/watch/logs.ts";
import { BoundedLog, LOG_FILE_BYTES } from "../../../src/state/bounded-log.ts";
import type { LogPaths } from "../../../src/state/paths.ts";
import { eventually } from "../../support/eventually.ts";
import { fakeHandle } from "../../support/fake-handle.ts";
import { chooseSeed, randomChunks, seededRandom } from "../../support/random.ts";

let home = "";
let handle: Handle;
let paths: LogPaths;
let log: BoundedLog;
let looks = 0;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "smolvm-logs-"));
  looks = 0;
  handle = fakeHandle(home, () => looks++);
  if (!handle.paths) throw new Error("it has no folder");
  await mkdir(handle.paths.folder, { recursive: true });
  paths = handle.paths.logs.console;
  log = new BoundedLog(paths);
});
afterEach(async () => {
  log.close();
  await rm(home, { recursive: true, force: true });
});

const print = (text: string) => log.write(Buffer.from(text));
const deleted = () => handle.status.follow("deleted", "", new Date().toISOString());
async function read(options?: LogsOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLogs(handle, options)) lines.push(line);
  return lines;
}

/** Reads along in the background. */
function follow(options: LogsOptions = {}): { lines: string[]; over: Promise<void> } {
  const lines: string[] = [];
  const over = (async () => {
    for await (const line of readLogs(handle, { follow: true, ...options })) lines.push(line);
  })();
  return { lines, over };
}

describe("a log that is read", () => {
  it("is its lines without their ends, the unfinished one too", async () => {
    print("one\r\n\r\ntwo \r\r\nthr");
    expect(await read()).toEqual(["one", "", "two ", "thr"]);
  });

  it("is none where nothing was printed, or the machine was never started", async () => {
    expect(await read()).toEqual([]);
    expect(await readLogs({ ...handle, paths: null }).next()).toEqual({ done: true, value: undefined });
  });

  it("is that of QEMU where that is asked for", async () => {
    print("console\n");
    await appendFile(handle.paths?.logs.qemu.now ?? "", "qemu: warning\n");
    expect(await read({ source: "qemu" })).toEqual(["qemu: warning"]);
  });

  it("has nothing of what the host and our part of the guest tell each other there", async () => {
    print("one\r\nsmolvm: ready\r\nsmolvm clock 1700000000 3 1001\r\ntwo\r\nsmolvm: identity 1001\r\n");
    expect(await read()).toEqual(["one", "two"]);
    expect(await read({ tail: 1 })).toEqual(["two"]);
    const { lines, over } = follow({ tail: 1 });
    await eventually(() => lines.length === 1, "what is there");
    print("smolvm grace 8000 smolvm poweroff\r\nthree\r\n");
    await eventually(() => lines.length === 2, "what comes");
    deleted();
    await over;
    expect(lines).toEqual(["two", "three"]);
  });

  it("has what QEMU says as it says it", async () => {
    await appendFile(handle.paths?.logs.qemu.now ?? "", "smolvm: ready\n");
    expect(await read({ source: "qemu" })).toEqual(["smolvm: ready"]);
  });

  it.each([
    [0, []],
    [1, ["three"]],
    [2, ["two", "three"]],
    [9, ["one", "two", "three"]],
  ])("has with tail %i the last so many lines", async (tail, expected) => {
    print("one\ntwo\nthree\n");
    expect(await read({ tail })).toEqual(expected);
  });

  it("goes over from the older file to the newer without a seam, even within a letter", async () => {
    const letter = Buffer.from("ü");
    log.write(
      Buffer.concat([Buffer.alloc(LOG_FILE_BYTES - 2, "a"), Buffer.from("\n"), letter.subarray(0, 1)]),
    );
    log.write(Buffer.concat([letter.subarray(1), Buffer.from("ber\n")]));
    expect((await read()).at(-1)).toBe("über");
    expect(await read({ tail: 1 })).toEqual(["über"]);
  });

  it("has each line once, however often its files are exchanged meanwhile", { timeout: 60_000 }, async () => {
    let isOver = false;
    let printed = 0;
    const printing = (async () => {
      for (; !isOver; await sleep(1))
        for (let each = 0; each < 20; each++) print(`${printed++} ${"x".repeat(10_000)}\n`);
    })();
    try {
      for (let round = 0; round < 40; round++) {
        const numbers = (await read()).slice(1, -1).map((line) => Number(line.split(" ")[0]));
        const first = numbers[0] ?? 0;
        expect(numbers).toEqual(numbers.map((_, at) => first + at));
      }
    } finally {
      isOver = true;
      await printing;
    }
    expect(printed).toBeGreaterThan(400);
  });

  it.each<[object, string]>([
    [{ source: "kernel" }, 'source must be one of "console", "qemu"'],
    [{ tail: -1 }, "tail must be a whole number, 0 or more"],
    [{ tail: 1.5 }, "tail must be a whole number"],
    [{ follow: "yes" }, "follow must be true or false"],
    [{ signal: {} }, "signal must be an AbortSignal"],
    [{ flow: true }, 'did you mean "follow"?'],
  ])("is refused with %j", async (options, message) => {
    await expect(read(options as LogsOptions)).rejects.toThrow(ValidationError);
    await expect(read(options as LogsOptions)).rejects.toThrow(message);
  });
});

describe("a log that is followed", () => {
  it("gives what is there, then each line as soon as it is whole, until the machine is deleted", async () => {
    print("one\ntw");
    const { lines, over } = follow();
    await eventually(() => lines.length === 1, "what is there");
    print("o\nthree\nlast");
    await eventually(() => lines.length === 3, "what comes");
    deleted();
    await over;
    expect(lines).toEqual(["one", "two", "three", "last"]);
  });

  it("begins where there is no log yet", async () => {
    const { lines, over } = follow({ tail: 0 });
    await sleep(50);
    print("first\n");
    await eventually(() => lines.length === 1, "the first line");
    deleted();
    await over;
  });

  it("has every line in order, each once, however it is cut, across files that are full", {
    timeout: 60_000,
  }, async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const { lines, over } = follow();
    let printed = 0;
    for (let round = 0; round < 30; round++) {
      let text = "";
      for (let each = 0; each < 60; each++) text += `${printed++} ü${"x".repeat(random(3_000))}\r\n`;
      for (const chunk of randomChunks(Buffer.from(text), random, 5_000)) log.write(chunk);
      await sleep(random(60));
      await eventually(() => lines.length > printed - 400, "the reader comes along");
    }
    deleted();
    await over;
    expect(lines.length, `seed ${seed}`).toBe(printed);
    const seen = lines.map((line) => line.replace(/x*$/, ""));
    expect(seen, `seed ${seed}`).toEqual(seen.map((_, at) => `${at} ü`));
    expect(await read({ tail: 1 })).toEqual(lines.slice(-1)); // the files were exchanged indeed
    expect((await read()).length).toBeLessThan(printed);
  });

  it("comes in pieces where a line never ends", async () => {
    const { lines, over } = follow();
    await sleep(50);
    for (let round = 0; round < 10; round++) log.write(Buffer.alloc(100_000, "a"));
    await eventually(() => lines.join("").length > 900_000, "it is not kept back");
    deleted();
    await over;
    expect(lines.join("").replaceAll("a", "")).toBe("");
    expect(lines.join("")).toHaveLength(1_000_000);
  });

  it("ends with an abort, without an error", async () => {
    const abort = new AbortController();
    const { over } = follow({ signal: abort.signal });
    await sleep(50);
    abort.abort();
    await over;
  });

  it("asks whether the machine is still there, where nobody may hold it who would tell", async () => {
    const { over } = follow();
    await eventually(() => looks > 0, "it has looked");
    deleted();
    await over;
  });
});
