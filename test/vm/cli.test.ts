import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { statePaths } from "../../src/state/paths.ts";
import { CLI, runCli, startCli } from "../setup/cli-process.ts";
import { type OwnHome, useOwnHome } from "../support/templates.ts";

const tiny = ["run", "--image", "tiny"];

/** Its machines are those of these tests alone. */
let home: OwnHome;
beforeAll(async () => {
  home = await useOwnHome({ templates: "ordinary" });
});
afterAll(async () => {
  const left = home.machines();
  await home[Symbol.asyncDispose]();
  expect(left).toEqual([]);
});

describe("smolvm run", () => {
  it("runs a command in a fresh Debian machine and leaves nothing", async () => {
    const before = home.machines();
    const { status, stdout, stderr } = await runCli(["run", "--", "cat", "/etc/os-release"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^ID=debian$/m);
    expect(home.machines()).toEqual(before);
  });

  it("passes several words on untouched by any shell", async () => {
    const { stdout } = await runCli([...tiny, "--", "printf", "%s|", "a b", "$HOME", "*", ""]);
    expect(stdout).toBe("a b|$HOME|*||");
  });

  it("runs a single word as a script, its two streams apart, and ends with its status", async () => {
    const ended = await runCli([...tiny, "--", "echo out; echo err >&2; exit 7"]);
    expect(ended).toMatchObject({ status: 7, stdout: "out\n", stderr: "err\n" });
  });

  it.each([
    ["no-such-command", 127],
    ["/etc/passwd", 126],
    ["kill -9 $$", 137],
  ])("%s → %i, as a shell means it", async (script, status) => {
    expect((await runCli([...tiny, "--", script])).status).toBe(status);
  });

  it("passes standard input on, and closes it", async () => {
    const input = "line\n".repeat(100_000);
    const { status, stdout } = await runCli([...tiny, "--", "cat"], input);
    expect(status).toBe(0);
    expect(stdout === input).toBe(true);
  });

  it("passes every byte on under -i too, and the end", async () => {
    const input = randomBytes(300_000);
    const { status, stdout } = await runCli([...tiny, "-i", "--", "sha256sum"], input);
    expect(status).toBe(0);
    expect(stdout).toBe(`${createHash("sha256").update(input).digest("hex")}  -\n`);
  });

  it("sets environment variables, memory and CPUs", async () => {
    const flags = ["-e", "A=a b", "--memory", "256", "--cpus", "2"];
    const { stdout } = await runCli([
      ...tiny,
      ...flags,
      "--",
      'echo "$A"; nproc; grep MemTotal /proc/meminfo',
    ]);
    const [a, cpus, memory] = stdout.split("\n");
    expect([a, cpus]).toEqual(["a b", "2"]);
    expect(Number(memory?.match(/\d+/)?.[0])).toBeLessThan(256 * 1024);
  });

  it("prints what comes when it comes", async () => {
    const { child, untilPrinted, ended } = startCli([...tiny, "--", "echo first; sleep 600"]);
    await untilPrinted("first");
    child.kill("SIGINT");
    expect((await ended).stdout).toBe("first\n");
  });

  it("--timeout → 124, with what was printed until then", async () => {
    const { status, stdout, stderr } = await runCli([
      ...tiny,
      "--timeout",
      "5s",
      "--",
      "echo half; sleep 600",
    ]);
    expect({ status, stdout }).toEqual({ status: 124, stdout: "half\n" });
    expect(stderr).toMatch(/^smolvm: .*5 s/);
  });

  it("Ctrl-C → 130, and the machine is gone", async () => {
    const before = home.machines();
    const { child, untilPrinted, ended } = startCli([...tiny, "--", "echo up; sleep 600"]);
    await untilPrinted("up");
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ status: 130, stderr: "" });
    expect(home.machines()).toEqual(before);
  });

  it("Ctrl-C while the machine starts → 130, and nothing is left", async () => {
    const before = home.machines();
    const { child, ended } = startCli(["run", "--", "echo", "never"]);
    await expect.poll(() => home.machines().length, { timeout: 30_000 }).toBeGreaterThan(before.length);
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ status: 130, stdout: "", stderr: "" });
    expect(home.machines()).toEqual(before);
  });

  it("a reader that goes away after one line ends it quietly", async () => {
    const script = `"$0" "$1" run --image tiny -- 'while echo line; do :; done' | head -1`;
    const { stdout, stderr } = await promisify(execFile)("/bin/sh", ["-c", script, process.execPath, CLI]);
    expect({ stdout, stderr }).toEqual({ stdout: "line\n", stderr: "" });
  });

  it("--json is the whole result, and the status is the guest's still", async () => {
    const { status, stdout, stderr } = await runCli([
      ...tiny,
      "--json",
      "--",
      "echo out; echo err >&2; exit 3",
    ]);
    expect({ status, stderr }).toEqual({ status: 3, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      exitCode: 3,
      ok: false,
      stdout: "out\n",
      stderr: "err\n",
      signal: null,
    });
  });

  it("--json says what a command had printed when its time was up", async () => {
    const { status, stdout } = await runCli([
      ...tiny,
      "--json",
      "--timeout",
      "5",
      "--",
      "echo half; sleep 600",
    ]);
    expect(status).toBe(124);
    expect(JSON.parse(stdout).error).toMatchObject({
      code: "OPERATION_TIMEOUT",
      stdout: "half\n",
      stderr: "",
    });
  });

  it("an image that nobody knows → 125, by name, as JSON too", async () => {
    const { status, stdout } = await runCli(["run", "--json", "--image", "no-such-image", "--", "true"]);
    expect(status).toBe(125);
    expect(JSON.parse(stdout).error.message).toContain("no-such-image");
  });
});

describe("smolvm doctor", () => {
  it("finds that machines can run here, and says how", async () => {
    const { status, stdout } = await runCli(["doctor", "--json"]);
    const { ok, checks } = JSON.parse(stdout);
    expect({ status, ok }).toEqual({ status: 0, ok: true });
    const names = checks.map(({ name }: { name: string }) => name).join(" ");
    for (const what of [/qemu/i, /accelerator/i, /image/i, /disk|space/i, /ssh/i])
      expect(names).toMatch(what);
  });
});

describe("smolvm image", () => {
  it("lists what was built, and shows where it is", async () => {
    const { images } = JSON.parse((await runCli(["image", "ls", "--json"])).stdout);
    expect(images.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(["debian", "tiny"]),
    );
    const { image } = JSON.parse((await runCli(["image", "inspect", "debian", "--json"])).stdout);
    expect(image.kernelPath).toContain(statePaths().images);
  });

  it("refuses to inspect or remove what is not there", async () => {
    expect((await runCli(["image", "inspect", "no-such-image"])).status).toBe(125);
    expect((await runCli(["image", "rm", "no-such-image"])).status).toBe(125);
  });
});
