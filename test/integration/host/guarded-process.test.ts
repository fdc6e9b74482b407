import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inheritedFd, spawnGuarded } from "../../../src/host/guarded-process.ts";
import { findProcess } from "../../../src/host/process-identity.ts";
import { runTool } from "../../../src/host/run-tool.ts";
import { eventually } from "../../support/eventually.ts";
import { parentOf, processes, readerOf } from "../../support/guardians.ts";

const GUARDIAN = join(import.meta.dirname, "../../../src/host/guardian.sh");

let folder: string;
let ephemeral: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-guard-"));
  ephemeral = join(folder, "machine with 'quotes', $HOME and spaces");
  mkdirSync(join(ephemeral, "deeper"), { recursive: true });
  writeFileSync(join(ephemeral, "deeper", "disk"), "x");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const keep = { ephemeralFolder: null };

describe("a guarded command", () => {
  it.each([
    ["exit 0", 0, null],
    ["exit 7", 7, null],
    ["kill -KILL $$", 137, "SIGKILL"],
    ["kill -TERM $$", 143, "SIGTERM"],
  ])("that does `%s` is seen to end that way", async (script, exitCode, signal) => {
    const guarded = await spawnGuarded(["sh", "-c", script], keep);
    expect(await guarded.exited).toEqual({ exitCode, signal });
  });

  it("that does not exist is seen as an end with 127, and the shell's words on stderr", async () => {
    const guarded = await spawnGuarded(["/no/such/program"], keep);
    const words = text(guarded.stderr);
    expect((await guarded.exited).exitCode).toBe(127);
    expect(await words).toContain("/no/such/program");
  });

  it("gets its arguments byte for byte", async () => {
    const args = ["", "a b", "$HOME", "*", "'\"", "a\nb", "-n", "--"];
    const guarded = await spawnGuarded(["printf", "%s|", ...args], keep);
    expect(await text(guarded.stdout)).toBe(`${args.join("|")}|`);
    await guarded.exited;
  });

  it("gets the signals that are sent to it, by the process id it has told", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], keep);
    const [command] = await processes("-p", guarded.pid);
    expect(command).toContain("sleep 60");
    guarded.sendSignal("SIGTERM");
    expect(await guarded.exited).toEqual({ exitCode: 143, signal: "SIGTERM" });
    guarded.sendSignal("SIGKILL");
  });

  it("sits in a session of its own, where no terminal's signal reaches it", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], keep);
    const { stdout } = await runTool("ps", ["-o", "sid=,tty=", "-p", `${guarded.pid}`]);
    const mine = await runTool("ps", ["-o", "sid=", "-p", `${process.pid}`]);
    expect(stdout.trim()).toMatch(/ \?$/);
    expect(Number.parseInt(stdout, 10)).not.toBe(Number.parseInt(mine.stdout, 10));
    await guarded.end();
  });

  it("has its sockets and nothing else: not the guardian's, and no secrets in its environment", async () => {
    process.env.SMOLVM_TEST_SECRET = "hidden";
    const script = "cd /proc/self/fd && for fd in 0 1 2 3 4 5 6; do [ -e $fd ] && echo $fd; done; env";
    const guarded = await spawnGuarded(["sh", "-c", script], { ...keep, channels: 2 });
    delete process.env.SMOLVM_TEST_SECRET;
    const printed = await text(guarded.stdout);
    expect(printed).toMatch(/^0\n1\n2\n3\n4\n[^0-9]/);
    expect(printed).toContain("PATH=");
    expect(printed).not.toContain("SECRET");
    await guarded.exited;
  });

  it("talks over each of its sockets in both directions", async () => {
    const script = "read a <&3; read b <&4; read c <&6; echo $c >&3; echo $a >&4; echo $b >&6";
    const guarded = await spawnGuarded(["sh", "-c", script], { ...keep, channels: 3 });
    const answers = Promise.all(guarded.channels.map(text));
    for (const [index, channel] of guarded.channels.entries()) channel.write(`${index}\n`);
    expect(await answers).toEqual(["2\n", "0\n", "1\n"]);
    await guarded.exited;
  });

  it("reads the open files that it is handed, behind its sockets", async () => {
    const path = join(folder, "handed");
    writeFileSync(path, "content");
    const file = openSync(path, "r");
    const guarded = await spawnGuarded(["sh", "-c", "cat <&6"], { ...keep, channels: 2, files: [file] });
    closeSync(file);
    expect(inheritedFd(2)).toBe(6);
    expect(await text(guarded.stdout)).toBe("content");
    await guarded.exited;
    const seventh = spawnGuarded(["true"], { ...keep, channels: 6, files: [0] });
    await expect(seventh).rejects.toThrow("7 things");
  });

  it("is the only one that holds its sockets: they end as soon as it does", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], { ...keep, channels: 2 });
    const guardian = await parentOf(guarded.pid);
    await runTool("kill", ["-STOP", `${guardian}`]); // it can't close anything now
    const ends = guarded.channels.map((channel) => once(channel.resume(), "end"));
    await runTool("kill", ["-KILL", `${guarded.pid}`]);
    await Promise.all(ends);
    await runTool("kill", ["-CONT", `${guardian}`]);
    expect(await guarded.exited).toMatchObject({ signal: "SIGKILL" });
  });

  it("leaves neither a guardian nor a reader when it ends by itself, and its folder alone", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], { ephemeralFolder: ephemeral });
    const guardian = await parentOf(guarded.pid);
    guarded.sendSignal("SIGKILL");
    await guarded.exited;
    await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
    expect(existsSync(join(ephemeral, "deeper", "disk"))).toBe(true);
  });

  it("dies when its guardian is killed, and is seen to have died", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], { ...keep, channels: 1 });
    guarded.channels[0]?.resume();
    await runTool("kill", ["-KILL", `${await parentOf(guarded.pid)}`]);
    expect(await guarded.exited).toEqual({ exitCode: 137, signal: "SIGKILL" });
    await eventually(async () => !(await findProcess(guarded.pid)), "the command is dead");
  });

  it("leaves its folder to a creator that has lost the reader and lives", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], { ephemeralFolder: ephemeral });
    const guardian = await parentOf(guarded.pid);
    process.kill(await readerOf(guardian, guarded.pid), "SIGKILL");
    process.kill(guarded.pid, "SIGKILL");
    await guarded.exited;
    await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
    expect(existsSync(ephemeral)).toBe(true);
  });

  it("leaves its folder to a creator that has lost the guardian and lives", async () => {
    const guarded = await spawnGuarded(["sleep", "60"], { ephemeralFolder: ephemeral, channels: 1 });
    guarded.channels[0]?.resume();
    const guardian = await parentOf(guarded.pid);
    await runTool("kill", ["-KILL", `${guardian}`]);
    await guarded.exited;
    await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
    expect(existsSync(ephemeral)).toBe(true);
  });
});

describe("a creator that dies", () => {
  it("takes the command, the guardian and the folder with it", async () => {
    const { creator, pid } = await startCreator(ephemeral, ["sleep", "60"]);
    const guardian = await parentOf(pid);
    creator.kill("SIGKILL");
    await eventually(() => !existsSync(ephemeral), "the folder is removed");
    expect(existsSync(folder)).toBe(true);
    expect(await findProcess(pid)).toBeUndefined();
    await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
  });

  it("at the same moment as the command takes the folder with it: a dying creator answers nothing", async () => {
    for (let round = 0; round < 10; round++) {
      mkdirSync(ephemeral, { recursive: true });
      const { creator, pid } = await startCreator(ephemeral, ["sleep", "60"]);
      process.kill(pid, "SIGKILL");
      creator.kill("SIGKILL");
      await eventually(() => !existsSync(ephemeral), "the folder is removed");
    }
  });

  it("together with the reader does so too: the guardian is left, and does both", async () => {
    const { creator, pid } = await startCreator(ephemeral, ["sleep", "60"]);
    const guardian = await parentOf(pid);
    process.kill(await readerOf(guardian, pid), "SIGKILL");
    creator.kill("SIGKILL");
    process.kill(pid, "SIGKILL");
    await eventually(() => !existsSync(ephemeral), "the folder is removed");
    await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
  });

  it("together with the guardian does so too: the reader is left, and does both", async () => {
    const { creator, pid } = await startCreator(ephemeral, ["sleep", "60"]);
    const guardian = await parentOf(pid);
    process.kill(guardian, "SIGKILL");
    creator.kill("SIGKILL");
    await eventually(() => !existsSync(ephemeral), "the folder is removed");
    await eventually(async () => (await processes("-s", guardian)).length === 0, "the session is empty");
  });

  it("ends a command that ignores every signal it can", async () => {
    const { creator, pid } = await startCreator(ephemeral, [
      "sh",
      "-c",
      "trap '' TERM INT HUP; sleep 2; sleep 2",
    ]);
    creator.kill("SIGKILL");
    await eventually(async () => !(await findProcess(pid)), "the command is dead");
    await eventually(() => !existsSync(ephemeral), "the folder is removed");
  });

  it("leaves every file of a machine that is to be kept", async () => {
    const { creator, pid } = await startCreator("", ["sleep", "60"]);
    creator.kill("SIGKILL");
    await eventually(async () => !(await findProcess(pid)), "the command is dead");
    expect(readFileSync(join(ephemeral, "deeper", "disk"), "utf8")).toBe("x");
  });

  it("leaves what a link in the folder points to", async () => {
    const precious = join(folder, "precious");
    mkdirSync(precious);
    writeFileSync(join(precious, "file"), "x");
    await runTool("ln", ["-s", precious, join(ephemeral, "link")]);
    const { creator } = await startCreator(ephemeral, ["sleep", "60"]);
    creator.kill("SIGKILL");
    await eventually(() => !existsSync(ephemeral), "the folder is removed");
    expect(existsSync(join(precious, "file"))).toBe(true);
  });

  it("by Ctrl-C, which only its own group gets, takes them along as well", async () => {
    const { creator, pid } = await startCreator(ephemeral, ["sleep", "60"], { detached: true });
    process.kill(-Number(creator.pid), "SIGINT");
    await once(creator, "exit");
    await eventually(() => !existsSync(ephemeral), "the folder is removed");
    expect(await findProcess(pid)).toBeUndefined();
  });
});

describe("the guardian", () => {
  it.each(["/", "/tmp", "relative/folder", "/tmp/../etc", "/tmp/a/..", "//tmp/a", "/tmp/./a", "~/a"])(
    "refuses to guard the folder %s, and starts nothing",
    async (bad) => {
      const { exitCode, stderr, stdout } = await runTool("sh", [GUARDIAN, bad, "/tmp/a", "echo", "started"]);
      expect({ exitCode, stdout }).toEqual({ exitCode: 125, stdout: "" });
      expect(stderr).toContain(bad);
      await expect(spawnGuarded(["true"], { ephemeralFolder: bad })).rejects.toThrow(bad);
    },
  );

  it("is a clean POSIX script", async () => {
    const { stdout, exitCode } = await runTool("shellcheck", ["--shell=sh", GUARDIAN]);
    expect(stdout).toBe("");
    expect(exitCode).toBe(0);
  });
});

async function startCreator(
  guardedFolder: string,
  argv: string[],
  options: { detached?: boolean } = {},
): Promise<{ creator: ChildProcess; pid: number }> {
  const script = join(import.meta.dirname, "creator.mjs");
  const creator = spawn(process.execPath, [script, GUARDIAN, guardedFolder, `${guardedFolder}~`, ...argv], {
    stdio: ["ignore", "pipe", "inherit"],
    ...options,
  });
  const [line] = await once(creator.stdout as Readable, "data");
  return { creator, pid: Number.parseInt(String(line), 10) };
}
