import { kill } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import {
  CommandExecutionUnavailableError,
  CommandOutcomeUnknownError,
  OperationAbortedError,
  OperationTimeoutError,
  SmolVM,
} from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { pidOf } from "../support/machines.ts";

/** Where the worker reads its lines. */
const WAY = "case $(readlink /proc/$PPID/fd/0) in *vport*) echo port ;; *) echo SSH ;; esac";
/** All by which a shell could tell how it was started; what changes by itself is left out. */
const LOOK = [
  "env | sort",
  "set | grep -v -E '^(BASH_EXECUTION_STRING|BASHPID|LINENO|PPID|RANDOM|SRANDOM|SECONDS|EPOCH[A-Z]*|_|__.*|PIPESTATUS|BASH_ARG[CV])='",
  'echo "$-" "$#" "$0" "$SHLVL"; umask; ulimit -a; trap; alias; pwd; shopt -p 2>/dev/null',
  "grep -E '^(Sig|Shd|Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|Umask|Threads)' /proc/self/status",
  "echo out >/dev/stdout; echo err >/dev/stderr; echo tee | tee /dev/stderr; [ -p /dev/stdout ] && [ -p /dev/stderr ] && echo pipes",
  "ls /proc/self/fd; readlink /proc/self/fd/0; cat /proc/self/oom_score_adj; tty; nice; ulimit -c; hostname",
  "cut -d: -f1,2 /proc/self/cgroup; grep -c /sys/fs/cgroup/smolvm /proc/self/cgroup; ps -o tty= $$",
].join("\n");
/** At the ports of a shell: at the third one the guest's init waits. */
const STRANGERS = "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c 'vport.*p[12]$'";

const clone = () => SmolVM.create();
beforeAll(async () => {
  const vm = await clone(); // makes the template
  expect((await vm.info()).boot?.way).toBe("template");
  await vm.delete();
});

describe("the first command of a clone", () => {
  it("comes before any SSH connection, and the next ones go over one; what waited for it is gone then", async () => {
    await using vm = await clone();
    expect((await vm.run(WAY)).output).toBe("port");
    await vm.waitForSsh();
    expect((await vm.run(WAY, { shell: "raw" })).output).toBe("SSH");
    await eventually(async () => (await vm.run(STRANGERS)).output === "0", "the ports are left");
  });

  it("leaves its shell with the last process that it left running, where a signal ended it", async () => {
    await using vm = await clone();
    const run = vm.run(`${WAY}; (trap '' TERM; exec sleep 3) & exec sleep 100`);
    let seen = "";
    for await (const { text } of run) {
      seen += text;
      run.kill("SIGTERM");
    }
    expect(seen).toBe("port\n");
    expect((await run).signal).toBe("SIGTERM");
    expect((await vm.run(STRANGERS)).output).not.toBe("0");
    await eventually(async () => (await vm.run(STRANGERS)).output === "0", "the ports are left", 40_000);
  });

  it.each(["login", "raw"] as const)("sees in a %s shell what any later one sees", async (shell) => {
    await using vm = await clone();
    const first = await vm.run(LOOK, { shell });
    await vm.waitForSsh();
    const later = await vm.run(LOOK, { shell });
    expect(first.stdout).toBe(later.stdout);
    expect(first.stderr).toBe(later.stderr);
  });

  it("draws random numbers of its own, whoever draws them, and is young", async () => {
    const draw =
      "echo $RANDOM; echo $SRANDOM; mktemp -u; head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid";
    await using one = await clone();
    await using two = await clone();
    const [first, second] = await Promise.all(
      [one, two].map(async (vm) => (await vm.run(draw)).stdout.split("\n")),
    );
    for (let line = 0; line < 5; line++) expect(first?.[line]).not.toBe(second?.[line]);
    await using three = await clone();
    const young = await three.run('echo "$HOSTNAME $((SECONDS < 5))"');
    expect(young.output).toBe(`${three.name} 1`);
  });

  it("sees the variables that the machine was given", async () => {
    await using vm = await SmolVM.create({ env: { GIVEN: "a\n'b'" } });
    expect((await vm.run('printf %s "$GIVEN"')).stdout).toBe("a\n'b'");
  });

  it("may be one of many at once", async () => {
    await using vm = await clone();
    const words = Array.from({ length: 12 }, (_, index) => `word ${index}`);
    const results = await Promise.all(
      words.map((word, index) => vm.run(["printf", "%s", word], { shell: index % 2 ? "raw" : "login" })),
    );
    expect(results.map(({ stdout }) => stdout)).toEqual(words);
  });

  it("may have input, a terminal, another user, and much output", async () => {
    const results = await Promise.all([
      SmolVM.use({}, (vm) => vm.run("cat", { stdin: "input" })),
      SmolVM.use({}, (vm) => vm.run("tty", { pty: true })),
      SmolVM.use({}, (vm) => vm.run("id -un", { user: "nobody" })),
      SmolVM.use({}, (vm) => vm.run("head -c 3000000 /dev/zero; echo end >&2")),
    ]);
    expect(results.map(({ output }) => output.slice(0, 9))).toEqual([
      "input",
      "/dev/pts/",
      "nobody",
      "\0".repeat(9),
    ]);
    expect(results[3]?.stdoutBytes.length).toBe(3_000_000);
    expect(results[3]?.stderr).toBe("end\n");
  });

  it("gets all of its stderr, however slowly that is read, and the next command none of it", async () => {
    await using vm = await clone();
    let read = 0;
    for await (const { bytes } of vm.run("head -c 3000000 /dev/zero >&2")) {
      if (read === 0) await sleep(500);
      read += bytes.length;
    }
    expect(read).toBe(3_000_000);
    expect(await vm.run("echo second")).toMatchObject({ stdout: "second\n", stderr: "" });
  });

  it("takes a long script and says which folder is missing like any other", async () => {
    const script = `# ${"x".repeat(100_000)}\necho long; exit 7`;
    expect(await SmolVM.use({}, (vm) => vm.run(script))).toMatchObject({ stdout: "long\n", exitCode: 7 });
    await SmolVM.use({}, async (vm) => {
      await expect(vm.run("true", { cwd: "/nowhere" })).rejects.toThrow(/can't be entered/);
      expect((await vm.run("echo next")).output).toBe("next");
    });
  });

  it("ends whole at its timeout, by an abort, by kill() and by a left iteration", async () => {
    const tree = "setsid sleep 1234 & (trap '' TERM; sleep 1234) & echo begun; sleep 1234";
    const isOver = async (vm: SmolVM) => (await vm.run("pgrep -c -x sleep || true")).output === "0";
    const ways: ((vm: SmolVM) => Promise<unknown>)[] = [
      (vm) => expect(vm.run(tree, { timeout: 0.5 })).rejects.toThrow(OperationTimeoutError),
      (vm) =>
        expect(vm.run(tree, { signal: AbortSignal.timeout(300) })).rejects.toThrow(OperationAbortedError),
      async (vm) => {
        const run = vm.run(tree);
        setTimeout(() => run.kill("SIGKILL"), 300);
        expect(await run).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
      },
      async (vm) => {
        for await (const { text } of vm.run(tree)) if (text.includes("begun")) break;
      },
    ];
    for (const way of ways) {
      await using vm = await clone();
      await way(vm);
      await eventually(() => isOver(vm), "the whole tree is dead");
    }
  });

  it("ends whole at its timeout where it is a flood of processes, of which each wants the processor", async () => {
    await using vm = await clone();
    const flood = "f() { f | f & }; trap '' TERM; f; while :; do sleep 4848 & done";
    await expect(vm.run(flood, { timeout: 2 })).rejects.toThrow(OperationTimeoutError);
    expect((await vm.run("echo next")).output).toBe("next");
    await eventually(async () => (await vm.run("pgrep -c sleep || true")).output === "0", "nothing is left");
  });

  it("leaves running what it started on purpose, and its output is its own", async () => {
    await using vm = await clone();
    expect((await vm.run("(sleep 4321; echo late) & echo parent")).output).toBe("parent");
    expect((await vm.run("echo second; pgrep -c -x sleep")).output).toBe("second\n1");
    await vm.waitForSsh();
    expect((await vm.run("pgrep -c -x sleep")).output).toBe("1");
  });

  it("is unknown in its outcome where QEMU dies, or where it kills the shell that it is a child of", async () => {
    await using vm = await clone();
    const run = vm.run("echo begun; sleep 100");
    for await (const { text } of run) {
      expect(text).toBe("begun\n");
      kill(await pidOf(vm), "SIGKILL");
      await expect(run).rejects.toThrow(CommandOutcomeUnknownError);
      break;
    }
    await using other = await clone();
    await expect(other.run("kill -9 $PPID; sleep 1")).rejects.toThrow(CommandOutcomeUnknownError);
    expect((await other.run("echo again")).output).toBe("again");
  });

  it("never ran where QEMU dies before it could be sent, and is told why", async () => {
    await using vm = await clone();
    const waiting = expect(vm.run("true", { pty: true })).rejects; // no terminal before there is a connection
    kill(await pidOf(vm), "SIGKILL");
    await waiting.toThrow(CommandExecutionUnavailableError);
    await waiting.toThrow(/QEMU was ended by SIGKILL/);
  });
});
