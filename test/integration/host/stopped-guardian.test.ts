import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OperationAbortedError } from "../../../src/errors.ts";
import { spawnGuarded } from "../../../src/host/guarded-process.ts";
import { eventually } from "../../support/eventually.ts";
import { parentOf, processes, readerOf } from "../../support/guardians.ts";

let folder: string;
let ephemeral: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-guard-"));
  ephemeral = join(folder, "machine");
  mkdirSync(ephemeral);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const keep = { ephemeralFolder: null };

describe("a guarded command", () => {
  const STOPPED = ["guardian", "reader", "command"] as const;
  it.each([[["guardian"]], [["reader"]], [["guardian", "reader"]], [STOPPED]])(
    "is ended at once, and seen to be, where a signal has stopped its %j",
    async (stopped: readonly string[]) => {
      const guarded = await spawnGuarded(["sleep", "60"], { ephemeralFolder: ephemeral, channels: 1 });
      guarded.channels[0]?.resume();
      const guardian = await parentOf(guarded.pid);
      const pids = { guardian, reader: await readerOf(guardian, guarded.pid), command: guarded.pid };
      for (const who of STOPPED) if (stopped.includes(who)) process.kill(pids[who], "SIGSTOP");
      const calledMs = performance.now();
      expect(await guarded.end()).toEqual({ exitCode: 137, signal: "SIGKILL" });
      expect(performance.now() - calledMs).toBeLessThan(10_000);
      await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
      expect(existsSync(ephemeral)).toBe(true);
    },
    20_000,
  );

  it("is seen to have ended by itself where a signal has stopped its guardian", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], { ...keep, channels: 1 });
    guarded.channels[0]?.resume();
    process.kill(await parentOf(guarded.pid), "SIGSTOP");
    process.kill(guarded.pid, "SIGTERM");
    expect(await guarded.exited).toEqual({ exitCode: 143, signal: "SIGTERM" });
  });

  it("does not begin where its start is aborted", async () => {
    const begun = join(folder, "begun");
    const begin = (more: object) => spawnGuarded(["touch", begun], { ...keep, ...more });
    const abort = new AbortController();
    abort.abort();
    await expect(begin({ signal: abort.signal })).rejects.toBeInstanceOf(OperationAbortedError);
    await (await spawnGuarded(["sleep", "0.3"], keep)).exited;
    expect(existsSync(begun)).toBe(false);
  });
});
