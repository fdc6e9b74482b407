import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { GuestConsole } from "../../../src/qemu/console.ts";
import { GuestClock } from "../../../src/qemu/guest-clock.ts";

const START_MS = 1_700_000_000_300;

let wallMs: number;
let monotonicMs: number;
let heard: string[];
let say: (line: string) => void;
let clock: GuestClock;
let mayTell: (kind: "compare" | "set") => boolean;
/** What the guest has not yet read. */
let unreadBytes: number;

beforeEach(() => {
  vi.useFakeTimers();
  wallMs = START_MS;
  monotonicMs = 5_000;
  heard = [];
  mayTell = () => true;
  unreadBytes = 0;
  const port = new PassThrough(); // what the guest says comes by it as well
  const stream = new PassThrough();
  const guest = new GuestConsole(stream, port);
  const write = stream.write.bind(stream);
  stream.write = ((line: string) => heard.push(line.trim()) > 0) as typeof write;
  Object.defineProperty(stream, "writableLength", { get: () => unreadBytes });
  say = (line) => write(`${line}\n`);
  clock = new GuestClock(guest, (kind) => mayTell(kind), {
    wallMs: () => wallMs,
    monotonicMs: () => monotonicMs,
  });
});
afterEach(() => {
  clock.close();
  vi.useRealTimers();
});

async function pass(ms: number, wallToo = true): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    const step = Math.min(100, left);
    monotonicMs += step;
    if (wallToo) wallMs += step;
    await vi.advanceTimersByTimeAsync(step);
  }
}

async function listening(): Promise<void> {
  say("smolvm: ready");
  await vi.advanceTimersByTimeAsync(0);
}

async function isOver(work: Promise<void>): Promise<boolean> {
  let over = false;
  void work.then(() => {
    over = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return over;
}

/** The guest, for so long. */
async function standStill(ms: number): Promise<void> {
  clock.noteRun(false);
  await pass(ms);
  clock.noteRun(true);
}

/** For as long as may be. */
async function waitInVain(): Promise<void> {
  const waiting = clock.settled(1_000);
  await vi.advanceTimersByTimeAsync(1_100);
  await waiting;
}

const request = () => heard.at(-1)?.split(" ").at(-1);

describe("the clock of a guest", () => {
  it("is told the time as soon as it goes on, and again as the next second begins", async () => {
    await listening();
    clock.noteRun(false);
    await pass(8_000);
    expect(heard).toEqual([]); // what waits in a guest that stands still is old when it is read
    clock.noteRun(true);
    expect(heard).toEqual([expect.stringMatching(/^smolvm clock 1700000008 300 \d+$/)]);
    await pass(1_000);
    expect(heard.slice(1)).toEqual([expect.stringMatching(/^smolvm clock 1700000009 0 \d+$/)]);
  });

  it("is left alone where it stood still for less than anybody minds", async () => {
    await listening();
    await standStill(100);
    await pass(2_000);
    expect(heard).toEqual([]);
  });

  it.each([
    ["the host has slept", 3_600_000],
    ["the host's clock was set forward", 5_000],
    ["the host's clock was set back", -7_200_000],
  ])("is told within a second when %s", async (_, jumpMs) => {
    await listening();
    await pass(3_000);
    expect(heard).toEqual([]);
    wallMs += jumpMs;
    await pass(1_000);
    const seconds = Math.floor(wallMs / 1_000);
    expect(heard[0]).toMatch(new RegExp(`^smolvm clock ${seconds} \\d+ \\d+$`));
  });

  it("is compared now and then, also when nothing has befallen it", async () => {
    await listening();
    await pass(62_000);
    expect(heard).toHaveLength(2);
    for (const line of heard) expect(line).toMatch(/^smolvm clock \d+ 0 \d+$/);
  });

  it("is set back only by a time that is not old", async () => {
    await listening();
    await pass(31_000);
    expect(heard).toHaveLength(1);
    await pass(2_000);
    say(`smolvm: ahead ${request()}`); // it came late
    await pass(1_000);
    expect(heard.at(-1)).toMatch(/^smolvm clock /);
    await pass(200);
    say(`smolvm: ahead ${request()}`);
    await pass(1_000);
    expect(heard.at(-1)).toMatch(/^smolvm time \d+ \d+$/);
    expect(heard).toHaveLength(3);
    const { length } = heard;
    say("smolvm: ahead 1");
    say(`smolvm: identity ${request()}`);
    await pass(2_000);
    expect(heard).toHaveLength(length);
  });

  it("is not told where it may not be, nor where no guest of ours has spoken", async () => {
    await standStill(5_000);
    await pass(2_000);
    await listening();
    mayTell = () => false;
    await standStill(5_000);
    await pass(40_000);
    expect(heard).toEqual([]);
  });

  it("is waited for where it was far behind, until it says that it is set, or not for ever", async () => {
    await listening();
    await clock.settled(1_000); // nothing is to be waited for
    await standStill(5_000);
    let isSettled = false;
    void clock.settled(1_000).then(() => {
      isSettled = true;
    });
    await vi.advanceTimersByTimeAsync(100);
    expect(isSettled).toBe(false);
    say(`smolvm: identity ${request()}`);
    await vi.advanceTimersByTimeAsync(0);
    expect(isSettled).toBe(true);
    await standStill(5_000);
    await waitInVain();
  });

  it("is not waited for where it could not be told, though an earlier word of it had no answer", async () => {
    await listening();
    await pass(31_000);
    expect(heard).toHaveLength(1); // a clock that is right says nothing
    mayTell = () => false;
    await standStill(5_000);
    expect(await isOver(clock.settled(60_000))).toBe(true);
  });

  it("is not waited for a second time where the first was in vain", async () => {
    await listening();
    await standStill(5_000);
    await waitInVain();
    expect(await isOver(clock.settled(60_000))).toBe(true);
  });

  it.each<[string, (isHindered: boolean) => void]>([
    [
      "reads again what it is told",
      (isHindered) => {
        unreadBytes = isHindered ? 9 : 0;
      },
    ],
    [
      "may be told again",
      (isHindered) => {
        mayTell = () => !isHindered;
      },
    ],
  ])("is told within a second as the guest %s", async (_, hinder) => {
    await listening();
    clock.noteRun(false);
    await pass(5_000);
    hinder(true);
    clock.noteRun(true);
    await pass(4_000);
    expect(heard).toEqual([]);
    hinder(false);
    await pass(1_000);
    expect(heard).toEqual([expect.stringMatching(/^smolvm clock 17000000\d\d 0 \d+$/)]);
    await pass(5_000);
    expect(heard).toHaveLength(1);
  });

  it("is not told any more once the machine has ended", async () => {
    await listening();
    wallMs += 10_000;
    clock.close();
    await pass(40_000);
    expect(heard).toEqual([]);
  });
});
