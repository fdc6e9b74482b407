import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CommandExecutionUnavailableError,
  CommandFailedError,
  OperationAbortedError,
  OperationTimeoutError,
  type RunOptions,
  SmolVM,
  ValidationError,
} from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { countProcesses } from "../support/in-guest.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

describe("a command's result", () => {
  it("holds both streams, the exit code and the trimmed output", async () => {
    const result = await vm.run("echo ' hello '; echo err >&2; exit 7");
    expect(result).toMatchObject({
      exitCode: 7,
      signal: null,
      ok: false,
      stdout: " hello \n",
      stderr: "err\n",
      output: "hello",
    });
    expect(Buffer.from(result.stdoutBytes).toString()).toBe(" hello \n");
    expect(result.truncated).toEqual({ stdout: false, stderr: false });
    expect(result.durationMs).toBeGreaterThan(0);
  });

  it("becomes an error with `check`", async () => {
    const failed = vm.run("echo why >&2; exit 3", { check: true });
    await expect(failed).rejects.toThrow(CommandFailedError);
    await expect(failed).rejects.toMatchObject({ result: { exitCode: 3, stderr: "why\n" } });
    await expect(failed).rejects.toThrow(/why$/);
    const last = vm.run("echo first >&2; echo the last >&2; exit 4", { shell: "raw", check: true });
    await expect(last).rejects.toThrow(/4.*: the last$/);
  });

  it("is 127 with the shell's message for a program that is not there", async () => {
    for (const command of ["no-such-command", ["no-such-command"]]) {
      const { exitCode, stderr } = await vm.run(command);
      expect([exitCode, stderr]).toEqual([127, expect.stringContaining("not found")]);
    }
  });

  it("tells the signal that killed it", async () => {
    expect(await vm.run("kill -9 $$")).toMatchObject({ exitCode: 137, signal: "SIGKILL", ok: false });
  });

  it("keeps every byte, and decodes what is no UTF-8 as U+FFFD", async () => {
    const result = await vm.run(["printf", "\\377\\000\\303\\251"]);
    expect([...result.stdoutBytes]).toEqual([255, 0, 195, 169]);
    expect(result.stdout).toBe("\ufffd\0é");
  });
});

describe("what runs", () => {
  it("is untouched by any shell where it is an array", async () => {
    expect((await vm.run(["printf", "%s|", "a b", "$HOME", "*", ""])).stdout).toBe("a b|$HOME|*||");
  });

  it.each(["login", "raw"] as const)("is a script byte for byte, in a %s shell", async (shell) => {
    const script = [
      "set -e",
      `echo "double $((1+1))" 'single $x' \`echo back\` \\$escaped`,
      "cat <<A\nheredoc $((2*3))\nA",
      "cat <<'EOF'\n$raw `text` \\n\nEOF",
      "for i in 1 2; do",
      "  printf '%s\\n' \"é $i\"",
      "done",
      "false",
      "echo unreached",
    ].join("\n");
    const viaSh = await vm.run(["sh", "-c", script]);
    const result = await vm.run(script, { shell });
    expect([result.stdout, result.exitCode]).toEqual([viaSh.stdout, 1]);
    expect(result.stdout).toContain("$raw `text` \\n\n");
  });

  it("finds its stdin closed, and gets what it is given", async () => {
    expect((await vm.run("cat")).stdout).toBe("");
    const bytes = randomBytes(1024 * 1024);
    const { stdoutBytes } = await vm.run("cat", { stdin: bytes });
    expect(Buffer.compare(stdoutBytes, bytes)).toBe(0);
    expect((await vm.run("wc -c", { stdin: "héllo" })).output).toBe("6");
  });

  it("starts in the user's home, whatever ran before it, in both modes", async () => {
    for (const shell of ["login", "raw"] as const) {
      await vm.run("cd /tmp; export LEFT=1", { shell });
      expect((await vm.run("pwd; echo $LEFT", { shell })).output).toBe("/root");
    }
  });

  it("gets `env`, `cwd` and `user` for itself only", async () => {
    const value = "a b\n\"'$`\\;#é";
    const options = { env: { X: value }, cwd: "/var/tmp", user: "daemon", shell: "raw" } as const;
    expect((await vm.run('printf %s "$X"; pwd; id -un', options)).stdout).toBe(`${value}/var/tmp\ndaemon\n`);
    expect((await vm.run('echo "$X$(id -un)"')).output).toBe("root");
  });

  it.each([{ cwd: "/no/such" }, { user: "nobody-here" }])(
    "never runs with %j, and says so",
    async (options) => {
      const refused = vm.run("touch /tmp/ran", options);
      await expect(refused).rejects.toThrow(CommandExecutionUnavailableError);
      await expect(refused).rejects.toMatchObject({ remediation: expect.stringMatching(/\w/) });
      expect((await vm.run("ls /tmp/ran")).ok).toBe(false);
    },
  );

  it.each(["login", "raw"] as const)("opens its own streams as any user, in a %s shell", async (shell) => {
    const script = "cat </dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr; id -un";
    for (const user of ["daemon", "root", "daemon"])
      for (const stdin of ["in\n", ""]) {
        const { exitCode, stdout, stderr } = await vm.run(script, { user, shell, stdin });
        expect([exitCode, stdout, stderr]).toEqual([0, `${stdin}out\n${user}\n`, "err\n"]);
      }
    expect(await vm.run(["sh", "-c", script], { user: "nobody", shell })).toMatchObject({
      stdout: "out\nnobody\n",
      stderr: "err\n",
    });
  });

  it("is one of fifty at once, none mixed up with another", async () => {
    const runs = Array.from({ length: 50 }, (_, i) =>
      vm.run(`echo ${i}; exit ${i}`, { shell: "raw", timeout: 100 }),
    );
    const results = await Promise.all(runs);
    expect(results.map(({ output, exitCode }) => [output, exitCode])).toEqual(
      Array.from({ length: 50 }, (_, i) => [String(i), i]),
    );
  });
});

/** Both kinds of shell, another user, a terminal, and with input. */
const WAYS: readonly RunOptions[] = [
  ...[{}, { shell: "raw" }, { user: "nobody" }, { user: "nobody", shell: "raw" }],
  ...[{ stdin: "x" }, { pty: true }, { pty: true, shell: "raw" }, { pty: true, user: "nobody" }],
] as RunOptions[];

/** In each way, and where a shell may have waited. */
async function expectEverywhere(expected: (way: RunOptions) => object): Promise<void> {
  const script = "echo in; pwd; echo too >&2; exit 3";
  const expectIn = async (way: RunOptions) => {
    for (const command of [script, ["sh", "-c", script]]) {
      const { exitCode, stdout, stderr } = await vm.run(command, way);
      expect([way, { exitCode, stdout, stderr }]).toEqual([way, expected(way)]);
    }
  };
  for (const way of WAYS) await expectIn(way);
  for (const way of WAYS.slice(0, 2)) {
    await vm.run("true", way);
    await sleep(700); // for a shell that is started ahead of time
    await expectIn(way);
  }
}

describe("a command has its own result, and nothing of ours on its stderr, after somebody", () => {
  const expectedIn = (folderOf: (way: RunOptions) => string) => (way: RunOptions) =>
    way.pty
      ? { exitCode: 3, stdout: `in\r\n${folderOf(way)}\r\ntoo\r\n`, stderr: "" }
      : { exitCode: 3, stdout: `in\n${folderOf(way)}\n`, stderr: "too\n" };

  it("removed /dev/null", async () => {
    await vm.run("rm /dev/null", { check: true });
    await expectEverywhere(expectedIn(({ user }) => (user ? "/" : "/root")));
    expect((await vm.run("cat")).stdout).toBe("");
    await vm.run("rm -f /dev/null; mknod -m 666 /dev/null c 1 3", { shell: "raw", check: true });
  });

  it("removed the home", async () => {
    await vm.run("cp -a /root /kept; rm -rf ~", { check: true });
    await expectEverywhere(expectedIn(() => "/"));
    expect(await vm.run("[ -e /root ]")).toMatchObject({ exitCode: 1 });
    await vm.run("mv /kept /root", { shell: "raw", check: true });
  });
});

describe("much output", () => {
  it("is kept at its head and tail, and the command ends as it would", async () => {
    const command = "echo HEAD; head -c 8000000 /dev/zero | tr '\\0' x; echo TAIL; exit 3";
    const result = await vm.run(command, { maxOutputBytes: 100_000, timeout: 60 });
    expect(result.exitCode).toBe(3);
    expect(result.truncated).toEqual({ stdout: true, stderr: false });
    expect(result.stdoutBytes.length).toBeLessThanOrEqual(100_000);
    expect(result.stdout).toMatch(/^HEAD\nx+/);
    expect(result.stdout).toMatch(/x+TAIL\n$/);
  });

  it("on one stream does not stall the other", async () => {
    const flood = "head -c 1000000 /dev/zero | tr '\\0' e";
    const result = await vm.run(`${flood} >&2; echo out; ${flood}; echo err >&2`);
    expect(result.stdout.length).toBe(1_000_004);
    expect(result.stderr.length).toBe(1_000_004);
  });
});

describe("the end of a command", () => {
  it("comes with the timeout for its whole tree, and what was printed is there", async () => {
    const script =
      "(setsid sleep 4711 &) ; (sh -c 'sleep 4711 & exec sleep 4711' &) ; while :; do echo line; sleep 0.3; done";
    const began = Date.now();
    const ended = vm.run(script, { timeout: 1 });
    await expect(ended).rejects.toThrow(OperationTimeoutError);
    expect(Date.now() - began).toBeLessThan(10_000);
    await expect(ended).rejects.toMatchObject({
      timeoutSeconds: 1,
      stdout: expect.stringMatching(/^line\n/),
    });
    expect(await countProcesses(vm, "sleep 4711")).toBe(0);
  });

  it("comes with the caller's signal", async () => {
    const abort = new AbortController();
    const run = vm.run("echo begun; exec sleep 4712", {
      signal: abort.signal,
      onStdout: () => abort.abort(new Error("enough")),
    });
    await expect(run).rejects.toThrow(OperationAbortedError);
    await expect(run).rejects.toMatchObject({ stdout: "begun\n", cause: { message: "enough" } });
    await eventually(async () => (await countProcesses(vm, "sleep 4712")) === 0, "the command is dead");
  });

  it("leaves alone what was left running on purpose", async () => {
    expect((await vm.run("(sleep 4713 &) ; echo parent")).output).toBe("parent");
    expect(await countProcesses(vm, "sleep 4713")).toBe(1);
  });
});

describe("what can't be meant", () => {
  it.each([
    ["", {}],
    ["  \n", {}],
    [[], {}],
    ["a\0b", {}],
    ["true", { timeout: 0 }],
    ["true", { timeout: -1 }],
    ["true", { timeout: Number.NaN }],
    ["true", { timeout: 1e9 }],
    ["true", { shell: "bash" }],
    ["true", { tiemout: 1 }],
    ["true", { env: { "A-B": "x" } }],
    ["true", { cwd: 1 }],
  ])("%j with %j is refused", async (command, options) => {
    await expect(vm.run(command as string, options as object)).rejects.toThrow(ValidationError);
  });
});

describe("environment variables", () => {
  const values = { A: "x", B: "a b\t\"'$HOME`id`\\;#\né", EMPTY: "", BIG: "y".repeat(100_000) };

  it("are seen by login shells and not by raw ones, whatever is in them", async () => {
    expect(await vm.setEnvVars(values)).toEqual(["A", "B", "BIG", "EMPTY"]);
    expect(await vm.listEnvVars()).toEqual(values);
    const print = `printf "%s|" "$A" "$B" "$\{EMPTY-unset}" "$\{#BIG}"`;
    expect((await vm.run(print)).stdout).toBe(`x|${values.B}||100000|`);
    expect((await vm.run(print, { shell: "raw" })).stdout).toBe("||unset|0|");
    expect((await vm.run("stat -c %a /etc/profile.d/smolvm_env.sh")).output).toBe("600");
  });

  it("are merged, replaced and taken away", async () => {
    expect(await vm.setEnvVars({ A: "1", C: "3" }, { merge: false })).toEqual(["A", "C"]);
    expect(await vm.setEnvVars({ D: "4" })).toEqual(["A", "C", "D"]);
    expect(await vm.unsetEnvVars(["A", "D", "NOT_SET"])).toEqual({ A: "1", D: "4" });
    expect(await vm.listEnvVars()).toEqual({ C: "3" });
    expect(await vm.unsetEnvVars(["C"])).toEqual({ C: "3" });
    expect(await vm.setEnvVars({})).toEqual([]);
  });

  it.each(["1A", "A-B", "A B", "", "A=B", "é", "A\n"])("refuse the name %j", async (name) => {
    await expect(vm.setEnvVars({ [name]: "x" })).rejects.toThrow(ValidationError);
    expect(await vm.listEnvVars()).toEqual({});
  });
});
