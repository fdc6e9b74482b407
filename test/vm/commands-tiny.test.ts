// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code
import { randomBytes } from "node:crypto";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationTimeoutError,
  SmolVM,
} from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { untilPrinted } from "../support/in-guest.ts";
import { TINY } from "../support/machines.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create(TINY);
});
afterAll(() => vm.delete());

/** busybox's `ps` shows every process as it was started. */
async function count(commandLine: string): Promise<number> {
  const { stdout } = await vm.run("ps -o args", { shell: "raw" });
  return stdout.split("\n").filter((line) => line === commandLine).length;
}

describe("busybox alone in the guest is enough", () => {
  it.each(["login", "raw"] as const)("for results, streams and input, in a %s shell", async (shell) => {
    const options = { shell, env: { X: "a\n'b" }, cwd: "/tmp", stdin: "in\n" };
    expect(await vm.run('cat; printf "%s|" "$X" "$PWD"; echo err >&2; exit 7', options)).toMatchObject({
      stdout: "in\na\n'b|/tmp|",
      stderr: "err\n",
      exitCode: 7,
    });
    expect(await vm.run("kill -9 $$", { shell })).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    expect((await vm.run(["printf", "%s|", "$HOME", "*"], { shell })).stdout).toBe("$HOME|*|");
    expect((await vm.run("no-such-command", { shell })).exitCode).toBe(127);
    const bytes = randomBytes(2_000_000);
    expect(
      Buffer.compare((await vm.run("cat", { stdin: bytes, shell, timeout: 60 })).stdoutBytes, bytes),
    ).toBe(0);
    await expect(vm.run("true", { cwd: "/no/such", shell })).rejects.toThrow(
      CommandExecutionUnavailableError,
    );
  });

  it("for many at once", async () => {
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, n) => vm.run(`echo ${n}; exit ${n}`, { timeout: 60 })),
    );
    expect(results.map(({ output, exitCode }) => [output, exitCode])).toEqual(
      results.map((_, n) => [String(n), n]),
    );
  });

  it("for an end that is one, of all that a command has started", async () => {
    const stubborn = (n: number) =>
      `trap '' TERM HUP; (setsid sleep ${n} &); (sh -c 'sleep ${n} &' &); echo begun; sleep ${n}; sleep ${n}`;
    await expect(vm.run(stubborn(4861), { timeout: 1 })).rejects.toThrow(OperationTimeoutError);
    expect(await count("sleep 4861")).toBe(0);
    const run = vm.run(stubborn(4862));
    await untilPrinted(run, "begun");
    run.kill("SIGKILL");
    expect((await run).signal).toBe("SIGKILL");
    expect(await count("sleep 4862")).toBe(0);
    expect((await vm.run("(sleep 4863 &); echo parent")).output).toBe("parent");
    expect(await count("sleep 4863")).toBe(1);
  });

  it("for a deadline that the guest keeps alone", async () => {
    const beats =
      "(setsid sh -c 'while :; do read -r up _ </proc/uptime; echo $up >>/tmp/beats; sleep 0.1; done' &); sleep 100";
    await vm.waitForSsh(); // it is told of the deadline over a connection
    const timedOut = expect(vm.run(beats, { timeout: 3 })).rejects.toThrow(OperationTimeoutError);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 12_000);
    await timedOut;
    const times = (await vm.run("cat /tmp/beats")).output.split("\n").map(Number);
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThan(9);
  });

  it("for terminals and shells", async () => {
    const { stdout, exitCode } = await vm.run("tty; seq 1 5000; exit 3", { pty: true });
    expect(stdout).toMatch(/^\/dev\/pts\/\d+\r\n1\r\n[\s\S]*\r\n5000\r\n$/);
    expect(exitCode).toBe(3);
    expect(await vm.run("kill -9 $$", { pty: true })).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    await using shell = await vm.shell();
    const [keyboard, screen] = [new PassThrough(), new PassThrough()];
    let seen = "";
    screen.on("data", (text) => {
      seen += text;
    });
    shell.attach(keyboard, screen);
    keyboard.write("echo sum=$((1+1)); exit 4\n");
    await eventually(() => seen.includes("sum=2"), "the shell answers");
    expect(await shell.exited).toEqual({ exitCode: 4, signal: null });
  });

  it("for a connection that is cut", async () => {
    const run = vm.run("(setsid sleep 4864 &); echo begun; sleep 4864", { timeout: null });
    const lost = expect(run).rejects.toThrow(CommandOutcomeUnknownError);
    await untilPrinted(run, "begun");
    const { output } = await vm.run("read -r s </proc/$PPID/stat; set -- ${s##*) }; echo $2", {
      shell: "raw",
    });
    await vm.run(`kill -9 ${output}`).catch(() => {});
    await lost;
    await eventually(async () => (await count("sleep 4864")) === 0, "the guest has ended it");
    expect((await vm.run("echo next")).output).toBe("next");
  });
});
