import { PassThrough } from "node:stream";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CommandOutcomeUnknownError, OperationAbortedError, type Shell, SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { countProcesses, untilPrinted } from "../support/in-guest.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

describe("a command in a terminal", () => {
  it.each(["login", "raw"] as const)("has a device, a size and a type, in a %s shell", async (shell) => {
    const run = vm.run(
      'tty; stty size; echo "$TERM"; [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; echo $?; echo err >&2',
      {
        pty: { columns: 132, rows: 43, term: "vt100" },
        shell,
      },
    );
    const { stdout, stderr, exitCode } = await run;
    expect(stdout).toMatch(/^\/dev\/pts\/\d+\r\n43 132\r\nvt100\r\n0\r\nerr\r\n$/);
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect((await vm.run('stty size; echo "$TERM"', { pty: true, shell })).stdout).toBe(
      "24 80\r\nxterm-256color\r\n",
    );
    expect((await vm.run("tty", { shell })).output).toBe("not a tty");
  });

  it("takes an array, an environment, a folder, a user, and an exit code or a signal", async () => {
    expect((await vm.run(["printf", "%s|", "a b", "$HOME", "*"], { pty: true })).stdout).toBe("a b|$HOME|*|");
    const options = {
      pty: true,
      env: { X: "a\nb'" },
      cwd: "/var/tmp",
      user: "daemon",
      shell: "raw",
    } as const;
    expect(await vm.run('echo "$X"; pwd; id -un; exit 9', options)).toMatchObject({
      stdout: "a\r\nb'\r\n/var/tmp\r\ndaemon\r\n",
      exitCode: 9,
    });
    expect(await vm.run("kill -9 $$", { pty: true })).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    await expect(vm.run("true", { pty: true, cwd: "/no/such" })).rejects.toMatchObject({
      code: "COMMAND_EXECUTION_UNAVAILABLE",
    });
  });

  it.each(["login", "raw"] as const)(
    "counts the lines of its script from 1, in a %s shell",
    async (shell) => {
      const script = "echo $LINENO\necho $LINENO; no-such-command";
      const plain = shell === "login" ? ["bash", "-lc", script, "bash"] : ["sh", "-c", script, "sh"];
      const reference = (await vm.run(plain, { shell: "raw", pty: true })).stdout;
      expect(reference).toMatch(/\b2: no-such-command: /);
      for (const more of [{}, { user: "root" }, { env: { A: "1\n2" }, cwd: "/var" }]) {
        const { exitCode, stdout } = await vm.run(script, { shell, pty: true, ...more });
        expect([more, exitCode, stdout.replace("eval: ", "")]).toEqual([more, 127, reference]);
      }
      const long = await vm.run(`${script} #${"y".repeat(110_000)}`, { shell, pty: true });
      expect(long.stdout.replace("eval: ", "")).toBe(reference);
    },
  );

  it.each(["login", "raw"] as const)("is the user's own in a %s shell, for any user", async (shell) => {
    const script = "stat -c %U $(tty); [ -O $(tty) ] && echo own >$(tty); read line <$(tty); echo $line";
    for (const user of ["daemon", "nobody", "root"]) {
      const { stdout } = await vm.run(script, { shell, user, pty: true, stdin: "typed\n" });
      expect(stdout.replace("typed\r\n", "")).toBe(`${user}\r\nown\r\ntyped\r\n`);
    }
  });

  it("takes code of any length, and leaves none of it behind", async () => {
    const word = "x".repeat(50_000);
    const options = { pty: true, env: { BIG: word } };
    for (const more of [{}, { user: "daemon" }, { shell: "raw" }] as const) {
      const script = `word=${word}\n[ "$word" = "$BIG" ] && echo same; exit 7 #\\\n`;
      const result = await vm.run(script, { ...options, ...more });
      expect([result.stdout, result.exitCode]).toEqual(["same\r\n", 7]);
    }
    expect((await vm.run(["echo", word, "end"], { pty: true })).stdout).toBe(`${word} end\r\n`);
    expect((await vm.run("ls /run /tmp | grep code")).stdout).toBe("");
  });

  it("is told of a new size", async () => {
    const script =
      "trap 'stty size' WINCH; echo begun; n=0; while [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done";
    const run = vm.run(script, { pty: true, timeout: 60 });
    const chunks = await untilPrinted(run, "begun");
    run.resize({ columns: 101, rows: 33 });
    let text = "";
    while (!text.includes("33 101\r\n")) text += (await chunks.next()).value.text;
    await chunks.return?.();
  });

  it("is interrupted by Control-C, and reads what is typed", async () => {
    const run = vm.run(
      "trap 'echo interrupted; exit 5' INT; read -r line; echo \"read $line\"; while :; do sleep 0.1; done",
      {
        pty: true,
        stdin: "pipe",
        timeout: 60,
      },
    );
    run.stdin?.write("häuser\n");
    await untilPrinted(run, "read häuser\r\n");
    run.stdin?.write("\x03");
    const { exitCode, stdout } = await run;
    expect(exitCode).toBe(5);
    expect(stdout).toContain("interrupted");
  });

  it.each([
    ["Control-C", "\x03", { exitCode: 130, signal: "SIGINT" }],
    ["Control-\\", "\x1c", { exitCode: 131, signal: "SIGQUIT" }],
  ] as const)("is ended by a %s that was typed before it began", async (_, key, end) => {
    // Not in bash, which may be reading the profile: it ignores SIGQUIT, and loses a SIGINT now and then.
    const options = { pty: true, stdin: "pipe", shell: "raw" } as const;
    for (let tries = 0; tries < 5; tries++) {
      const run = vm.run("exec sleep 4821", options);
      run.stdin?.write(key);
      expect(await run).toMatchObject(end);
    }
  });

  it("is ended by Control-C where it has no answer, and finds the end of a given stdin", async () => {
    const run = vm.run("echo begun; exec sleep 4821", { pty: true, stdin: "pipe" });
    await untilPrinted(run, "begun");
    run.stdin?.write("\x03");
    expect(await run).toMatchObject({ exitCode: 130, signal: "SIGINT" });
    const other = vm.run("echo begun; exec sleep 4821", { pty: true, stdin: "pipe" });
    // Bash ignores SIGQUIT itself, `ssh -t` would show it too: the key counts from when `sleep` has taken its place.
    await eventually(async () => (await countProcesses(vm, "sleep 4821")) === 1, "it sleeps");
    other.stdin?.write("\x1c");
    expect(await other).toMatchObject({ exitCode: 131, signal: "SIGQUIT" });
    expect((await vm.run("stty -echo; cat; echo over", { pty: true, stdin: "a\nb\n" })).stdout).toContain(
      "a\r\nb\r\nover\r\n",
    );
    expect((await vm.run("cat; echo over", { pty: true })).stdout).toContain("over\r\n");
  });

  it("dies with its timeout, with what left its session too", async () => {
    const script = "trap '' HUP TERM; (setsid sleep 4822 &); echo begun; exec sleep 4822";
    await expect(vm.run(script, { pty: true, timeout: 1 })).rejects.toMatchObject({
      code: "OPERATION_TIMEOUT",
      stdout: "begun\r\n",
    });
    expect(await countProcesses(vm, "sleep 4822")).toBe(0);
  });

  it("loses nothing of what it prints last", async () => {
    for (const shell of ["login", "raw", "login", "raw", "login", "raw"] as const) {
      const { stdout, exitCode } = await vm.run("seq 1 50000; exit 3", { pty: true, timeout: 60, shell });
      expect([stdout.length, stdout.slice(-7), exitCode]).toEqual([338_894, "50000\r\n", 3]);
    }
  });

  it("leaves alone what it left running on purpose, and nothing else", async () => {
    const before = await vm.run("ps -eo args", { shell: "raw" });
    await vm.run("nohup setsid sleep 4825 >/dev/null 2>&1 & sleep 0.2", { pty: true });
    await expect(vm.run("sleep 4826", { pty: true, timeout: 1 })).rejects.toMatchObject({
      code: "OPERATION_TIMEOUT",
    });
    expect(await countProcesses(vm, "sleep 4825")).toBe(1);
    expect(await countProcesses(vm, "sleep 2147483647")).toBe(
      before.stdout.split("\n").filter((line) => line === "sleep 2147483647").length,
    );
  });
});

/** A person at a keyboard, and what he sees. */
function attachPerson(shell: Shell) {
  const [keyboard, screen] = [new PassThrough(), new PassThrough()];
  let seen = "";
  screen.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
  });
  const detach = shell.attach(keyboard, screen);
  return {
    type: (text: string | Uint8Array) => keyboard.write(text),
    hangUp: () => keyboard.end(),
    detach,
    seen: () => seen,
    async sees(text: string) {
      await eventually(() => seen.includes(text), `the screen shows ${text}`, 30_000).catch((error) => {
        throw new Error(`${error.message}, but: ${seen}`);
      });
    },
  };
}

describe("shell()", () => {
  it("is a login shell in a terminal, for a pair of streams", async () => {
    await vm.setEnvVars({ FROM_PROFILE: "yes" });
    await using shell = await vm.shell({ columns: 90, rows: 30, env: { MINE: "1 2" }, cwd: "/var" });
    expect(inspect(shell)).toBe(`Shell { vmId: "${vm.id}", status: "running" }`);
    const person = attachPerson(shell);
    person.type('echo "$FROM_PROFILE|$MINE|$PWD|$(stty size)|$-"\n');
    await person.sees("yes|1 2|/var|30 90|");
    expect(person.seen()).toMatch(/30 90\|\w*i/); // interactive
    // Bash reads the size and sets it again as it prepares its prompt: what comes between is lost, as it is by `ssh -t`.
    await eventually(() => /30 90\|\w*\r\n.*# $/s.test(person.seen()), "it waits at its prompt");
    shell.resize({ columns: 70, rows: 20 });
    person.type("stty size\n");
    await person.sees("20 70\r\n");
    person.type("exit 7\n");
    expect(await shell.exited).toEqual({ exitCode: 7, signal: null });
    await vm.unsetEnvVars(["FROM_PROFILE"]);
  });

  it("passes UTF-8 in both directions, cut anywhere, and Control-C to what runs in it", async () => {
    await using shell = await vm.shell();
    const person = attachPerson(shell);
    for (const byte of Buffer.from("echo 'grün 😀' | od -An -tx1\n")) person.type(new Uint8Array([byte]));
    await person.sees("67 72 c3 bc 6e 20 f0 9f 98 80 0a");
    person.type("sleep 4823; echo after=$?\n");
    await eventually(async () => (await countProcesses(vm, "sleep 4823")) === 1, "it sleeps");
    person.type("\x03");
    await eventually(async () => (await countProcesses(vm, "sleep 4823")) === 0, "it is interrupted");
    person.type("echo still=$((1+1))\n");
    await person.sees("still=2\r\n");
  });

  it("ends with its input, as a terminal that is hung up", async () => {
    await using shell = await vm.shell();
    const person = attachPerson(shell);
    person.type("echo up=$((1+1))\n");
    await person.sees("up=2\r\n");
    person.hangUp();
    expect(await shell.exited).toEqual({ exitCode: 0, signal: null });
  });

  it("ends by close() with all that was started in it", async () => {
    const shell = await vm.shell();
    const person = attachPerson(shell);
    person.type("set +m; trap '' HUP; (setsid sleep 4824 &); sleep 4824 &\n");
    await eventually(async () => (await countProcesses(vm, "sleep 4824")) === 2, "both run");
    await shell.close();
    await shell.close();
    expect(await shell.exited).toMatchObject({ signal: "SIGKILL" });
    expect(await countProcesses(vm, "sleep 4824")).toBe(0);
  });

  it("ends by its signal, and is another user's where one is named", async () => {
    const abort = new AbortController();
    const shell = await vm.shell({ user: "daemon", cwd: "/", signal: abort.signal });
    const person = attachPerson(shell);
    person.type("echo I am $(id -un)\n");
    await person.sees("I am daemon\r\n");
    abort.abort();
    await expect(shell.exited).rejects.toThrow(OperationAbortedError);
    await eventually(
      async () => (await vm.run("ps -u daemon -o pid=")).output === "",
      "nothing of it is left",
    );
  });

  it("keeps its output until somebody is attached, and may change hands", async () => {
    await using shell = await vm.shell();
    const first = attachPerson(shell);
    first.type("echo one=$((1+0))\n");
    await first.sees("one=1\r\n");
    first.detach();
    const second = attachPerson(shell);
    second.type("echo two=$((1+1))\n");
    await second.sees("two=2\r\n");
    expect(first.seen()).not.toContain("two=2");
  });

  it("that is broken off from the guest says that its outcome is unknown", async () => {
    const shell = await vm.shell();
    const person = attachPerson(shell);
    person.type("echo ready=$((1+1))\n");
    await person.sees("ready=2");
    // The shell's parent leads the session, and the server's process of this connection is above that.
    person.type("kill -9 $(ps -o ppid= -p $PPID)\n");
    await expect(shell.exited).rejects.toThrow(CommandOutcomeUnknownError);
    expect((await vm.run("echo next")).output).toBe("next");
  });
});
