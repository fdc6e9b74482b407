// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CommandExecutionUnavailableError, type RunOptions, SmolVM } from "../../src/index.ts";
import { BASH_HORRORS, type Horror, PLAIN_HORRORS } from "../support/horrors.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

const PROFILE = "/root/.profile";
const LONG_ENOUGH_MS = 700;

const setProfile = (text: string) =>
  vm.run(`cat >${PROFILE}`, { shell: "raw", stdin: `${text}\n`, check: true, timeout: 60 });

const setLoginShell = (shell: string) =>
  vm.run(["usermod", "-s", shell, "root"], { shell: "raw", check: true });

/** Programs only: the profile may have redefined all that is not one. */
const PROGRAMS =
  "/bin/echo one; /usr/bin/printenv A_; /bin/pwd; /bin/cat\n/bin/ls /proc/self/fd | /usr/bin/wc -l";
/** What a script sees of the shell that it runs in, which a new one would become the last program of. */
const STATE = 'echo "$0|$-|$#|$SHLVL|$LINENO"; pwd; set | cat; printenv; alias; trap; ls -l /proc/$$/fd; :';

/** What has to differ, and `$_` and the like, which tell of the last command of a profile. */
const normalised = (text: string) =>
  text
    .replaceAll(/\b(pipe|socket):\[\d+\]/g, "$1:[N]")
    .replaceAll(/^(_|PPID|BASHPID|S?RANDOM|EPOCH\w+|SECONDS|PIPESTATUS|LINENO|OLDPWD)=.*\n/gm, "")
    .replaceAll(/^total.*\n/gm, "")
    .replaceAll(/\/proc\/\d+\/fd/g, "/proc/N/fd")
    .replaceAll(/^(\S+ +\d+ \w+ \w+ +\d+ )[A-Z].*?:\d\d /gm, "$1");

const outcome = async (run: ReturnType<SmolVM["run"]>) => {
  const { exitCode, signal, stdout, stderr } = await run;
  return { exitCode, signal, stdout: normalised(stdout), stderr: normalised(stderr).split("\n").sort() };
};

/** In both ways: in a shell that is started for it, and where one may have been started ahead of time. */
async function bothWays(command: string | readonly string[], options: RunOptions) {
  const fresh = await outcome(vm.run(command, options));
  await vm.run(["true"], options.user ? {} : { shell: "login" });
  await sleep(LONG_ENOUGH_MS);
  return [fresh, await outcome(vm.run(command, options))];
}

const referenceOf = (shell: string, script: string, options: RunOptions) =>
  outcome(vm.run([shell, "-lc", script, shell.replace(/.*\//, "")], { ...options, shell: "raw" }));

async function expectAsPlain(shell: string, script: string, options: RunOptions = {}): Promise<void> {
  const reference = await referenceOf(shell, script, options);
  for (const seen of await bothWays(script, options)) expect(seen).toEqual(reference);
}

/** Without what such a profile itself has its shell print. */
const withoutTrace = (text: string) => text.replaceAll(/^(\+ .*|debug)\r?\n/gm, "");

async function expectUntouched(shell: string, horror: Horror): Promise<void> {
  await setProfile(horror.profile);
  await expectAsPlain(shell, PROGRAMS);
  await expectAsPlain(shell, PROGRAMS, { stdin: "in put\n" });
  if (horror.sparesBuiltins) await expectAsPlain(shell, STATE);
  const around = { env: { A_: "it's\n$x" }, cwd: "/var", stdin: "in put" };
  const marked = `/bin/echo begin; ${PROGRAMS}; /bin/echo begin >&2`;
  for (const { exitCode, stdout } of await bothWays(marked, around)) {
    const value = horror.profile.includes("A_=1") ? "1" : "it's\n$x";
    expect([exitCode, withoutTrace(stdout)]).toEqual([
      0,
      expect.stringContaining(`begin\none\n${value}\n/var\nin put`),
    ]);
  }
  for (const { stdout } of await bothWays(["/usr/bin/printf", "%s|", "a b", "$HOME", "*", ""], {}))
    expect(stdout).toMatch(/a b\|\$HOME\|\*\|\|(bye\n)?$/);
  const { stdout } = await vm.run("/bin/echo in a terminal; /usr/bin/tty", { pty: true });
  expect(withoutTrace(stdout)).toContain("in a terminal\r\n/dev/pts/");
  expect((await vm.run("echo raw $-; exit 3", { shell: "raw" })).output).toBe("raw");
}

describe("in bash, a profile that", () => {
  it.each(PLAIN_HORRORS.map((horror) => [horror.name, horror] as const))("%s", async (_, horror) => {
    await expectUntouched("/bin/bash", horror);
  });

  it.each(BASH_HORRORS.map((horror) => [horror.name, horror] as const))("%s", async (_, horror) => {
    await expectUntouched("/bin/bash", horror);
  });

  it("ends the shell leaves the command unrun, with what the shell said", async () => {
    for (const profile of ["exit 0", "echo so sorry >&2; exit 3", "exec /bin/false"]) {
      await setProfile(profile);
      const error = await vm.run("echo unreached").catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CommandExecutionUnavailableError);
      if (profile.includes("sorry")) expect(String(error)).toMatch(/ended with status 3 .*so sorry/);
      expect((await vm.run("echo raw", { shell: "raw" })).output).toBe("raw");
    }
  });

  it.each(["- ls", "--help", "--"])("has a shell that we don't know runs the script %j", async (script) => {
    await setProfile("");
    await setLoginShell("/bin/rbash");
    const { exitCode, stdout, stderr } = await vm.run(script);
    expect([exitCode, stdout, stderr]).toEqual([127, "", expect.stringMatching(/command not found\n$/)]);
    await setLoginShell("/bin/bash");
  });

  it("makes the shell a restricted one has its script run in one, and a program is said to be refused", async () => {
    await setProfile("set -r");
    const restricted = `echo restricted $-; printenv A_; ls | wc -l; cd /; echo x >/tmp/x; exit 3`;
    for (const script of [restricted, `${restricted} #${"y".repeat(110_000)}`])
      for (const pauseMs of [0, LONG_ENOUGH_MS]) {
        await sleep(pauseMs);
        const { exitCode, stdout, stderr } = await vm.run(script, { env: { A_: "it's" } });
        expect([exitCode, stdout]).toEqual([3, expect.stringMatching(/^restricted hrBc\nit's\n\d+\n$/)]);
        expect(stderr).toMatch(/: cd: restricted\n.*x: restricted: cannot redirect output\n$/);
      }
    await expect(vm.run(["ls"])).rejects.toThrow(/before the command began: .*exec: restricted/);
    // A terminal may have the slot in which a shell has waited.
    await vm.run("true", { shell: "raw" });
    await sleep(LONG_ENOUGH_MS);
    await expect(vm.run("sleep 100", { shell: "raw", timeout: 1 })).rejects.toThrow(
      /did not finish within 1 s/,
    );
    expect((await vm.run("echo ran; exit 5", { pty: true })).exitCode).toBe(5);
  });

  it.each(["/bin/bash", "/bin/dash"])(
    "traces is not shown what is ours, nor a value, in %s",
    async (shell) => {
      await setLoginShell(shell);
      await setProfile("set -x");
      const around = { env: { A_: "secret" }, cwd: "/var" };
      for (const script of ["echo ran", `: ${"y".repeat(110_000)}; echo ran`])
        for (const { stdout, stderr } of await bothWays(script, around)) {
          const ours = stderr.filter((line) => !/^\++ (: y+|echo ran)$/.test(line)).join("");
          expect([stdout, ours.slice(0, 500)]).toEqual(["ran\n", ""]);
        }
      await setLoginShell("/bin/bash");
    },
  );

  it.each(["/bin/bash", "/bin/dash"])(
    "prints what it reads has its script printed, and no value, in %s",
    async (shell) => {
      await setLoginShell(shell);
      await setProfile("set -v");
      const around = { env: { A_: "secret" }, cwd: "/var" };
      for (const script of ["echo ran\necho $LINENO", `echo ran; echo 2 #${"y".repeat(110_000)}`]) {
        const reference = await referenceOf(shell, script, {});
        for (const { stdout, stderr } of await bothWays(script, around)) {
          expect(stdout).toBe(reference.stdout);
          for (const line of reference.stderr) expect(stderr.join("\n")).toContain(line);
          if (shell === "/bin/dash") expect(stderr).toEqual(reference.stderr); // bash prints what is ours, too
          expect(stderr.join("\n")).not.toContain("secret");
        }
      }
      await setLoginShell("/bin/bash");
    },
  );

  it("defines functions and aliases has them in its script", async () => {
    await setProfile(
      "shopt -s expand_aliases; alias hi='echo hello'; greet() { echo greet $1; }; cd() { builtin cd /tmp; }",
    );
    for (const { stdout } of await bothWays("hi; greet you; cd; pwd; echo $PWD", {}))
      expect(stdout).toBe("hello\ngreet you\n/tmp\n/tmp\n");
  });
});

/** The command that gives root another login shell, and a profile of it that redefines what it can. */
const OTHERS: readonly (readonly [shell: string, profile: string, path: string])[] = [
  [
    "dash",
    "read() { /bin/echo horror; }; cd() { /bin/echo horror; }; alias eval='/bin/echo horror'; set -u",
    PROFILE,
  ],
  ["zsh", "cd() { /bin/echo horror; }; alias export='/bin/echo horror'; setopt noclobber", "/root/.zprofile"],
  [
    "fish",
    "function cd; /bin/echo horror; end; function echo; /bin/echo horror; end",
    "/root/.config/fish/config.fish",
  ],
  ["tcsh", "alias cd '/bin/echo horror'; set noclobber", "/root/.login"],
];

describe("with another login shell", () => {
  beforeAll(async () => {
    await setProfile("");
    const install = "apt-get update && apt-get install -y --no-install-recommends zsh fish tcsh";
    await vm.run(install, { shell: "raw", timeout: 500, check: true });
  }, 520_000);

  it.each(OTHERS)(
    "%s, a command has its folder, variables, input and terminal",
    async (shell, profile, path) => {
      await vm.run(["mkdir", "-p", path.replace(/\/[^/]*$/, "")], { shell: "raw", check: true });
      await vm.run(`cat >${path}`, { shell: "raw", stdin: `${profile}\n`, check: true });
      await vm.run(["usermod", "-s", `/usr/bin/${shell}`, "root"], { shell: "raw", check: true });
      const around = { env: { A_: "it's $x!" }, cwd: "/var", stdin: "in put\n" };
      for (const { exitCode, stdout, stderr } of await bothWays(
        "/usr/bin/printenv A_; /bin/pwd; /bin/cat",
        around,
      ))
        expect([exitCode, stdout, stderr.join("\n")]).toEqual([0, "it's $x!\n/var\nin put\n", ""]);
      for (const { stdout } of await bothWays(["/usr/bin/printf", "%s|", "a b", "$HOME", "*", ""], {}))
        expect(stdout).toBe("a b|$HOME|*||");
      const { stdout } = await vm.run("/usr/bin/tty; /bin/sh -c 'exit 3'", { pty: true });
      expect(stdout).toMatch(/^\/dev\/pts\/\d+\r\n$/);
      const foreign = await vm.run("/usr/bin/id -un; /bin/cat /dev/stdin; /bin/sh -c 'echo x >/dev/stderr'", {
        user: "root",
        stdin: "z",
      });
      expect([foreign.stdout, foreign.stderr]).toEqual(["root\nz", "x\n"]);
      await vm.run(["rm", path], { shell: "raw" });
    },
  );

  it.each(["zsh", "fish"])("%s, a script may be longer than a word of a command line", async (shell) => {
    await vm.run(["usermod", "-s", `/usr/bin/${shell}`, "root"], { shell: "raw", check: true });
    const { exitCode, stdout } = await vm.run(`: ${"y".repeat(250_000)}\necho "$A_" $argv; pwd; false`, {
      env: { A_: "it's" },
      cwd: "/var",
    });
    expect([exitCode, stdout]).toEqual([1, "it's\n/var\n"]);
  });

  it("zsh, the lines of a script are counted from 1", async () => {
    await vm.run(["usermod", "-s", "/usr/bin/zsh", "root"], { shell: "raw", check: true });
    const script = "# first\necho $LINENO; no-such-command";
    const { stdout, stderr } = await vm.run(script, { env: { A_: "1" }, cwd: "/var" });
    expect([stdout, stderr]).toEqual(["2\n", "zsh:2: command not found: no-such-command\n"]);
  });
});
