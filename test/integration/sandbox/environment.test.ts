import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type EnvironmentContext,
  listEnvVars,
  setEnvVars,
  unsetEnvVars,
} from "../../../src/sandbox/command/environment.ts";
import { chooseSeed, seededRandom } from "../../support/random.ts";

/** The file in the guest, and how long each command there takes. */
const guest = vi.hoisted(() => ({ file: "", takesMs: (): number => 0 }));

vi.mock("../../../src/sandbox/command/run.ts", () => ({
  Run: class {
    readonly result: Promise<object>;
    constructor(_context: unknown, script: string, { stdin }: { stdin: string }) {
      this.result = sleep(guest.takesMs()).then(async () => {
        const stdout = script.startsWith("[ -e") ? guest.file : "";
        if (script.includes("cat >")) guest.file = stdin;
        if (script.startsWith("rm -f")) guest.file = "";
        await sleep(guest.takesMs());
        return { ok: true, stdout, stderr: "", exitCode: 0 };
      });
    }
    // biome-ignore lint/suspicious/noThenProperty: it stands for a Run, which is awaitable
    then(onResult: (result: object) => unknown, onError: (error: Error) => unknown) {
      return this.result.then(onResult, onError);
    }
  },
}));

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "smolvm-environment-"));
  guest.file = "";
});
afterEach(() => rm(folder, { recursive: true }));

/** What a process of its own would have. */
const process = (lock: string | null = join(folder, "environment.lock")): EnvironmentContext => ({
  runner: {} as never,
  vm: { id: "vm-1", name: "box" },
  environmentLock: lock,
});

describe("variables that several processes set at once", () => {
  it("are all there afterwards, and none of those that were removed", { timeout: 60_000 }, async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    guest.takesMs = () => random(8);
    const processes = [process(), process(), process()];
    await setEnvVars(process(), { OLD_0: "x", OLD_1: "x", OLD_2: "x", KEPT: "x" });
    const changes = processes.flatMap((context, at) => [
      ...Array.from({ length: 6 }, (_, each) => setEnvVars(context, { [`NEW_${at}_${each}`]: `${each}` })),
      unsetEnvVars(context, [`OLD_${at}`]),
    ]);
    await Promise.all(changes);
    const names = processes.flatMap((_, at) => Array.from({ length: 6 }, (_, each) => `NEW_${at}_${each}`));
    expect(Object.keys(await listEnvVars(process())).sort(), `seed ${seed}`).toEqual(
      ["KEPT", ...names].sort(),
    );
    expect(await readdir(folder)).toEqual([]);
  });

  it("are read without waiting for who sets some", async () => {
    guest.takesMs = () => 100;
    const setting = setEnvVars(process(), { A: "x" });
    await sleep(20);
    const since = performance.now();
    await listEnvVars(process());
    expect(performance.now() - since).toBeLessThan(350);
    await setting;
  });

  it("are set without a lock while nobody else knows of the machine", async () => {
    guest.takesMs = () => 0;
    expect(await setEnvVars(process(null), { A: "x" })).toEqual(["A"]);
  });

  it("of a machine whose folder is gone is an error that says so", async () => {
    await expect(setEnvVars(process(join(folder, "gone", "lock")), { A: "x" })).rejects.toMatchObject({
      code: "STATE",
      message: expect.stringMatching(/^Variables can't be set: ENOENT/),
      remediation: expect.stringContaining("still exists"),
    });
  });
});
