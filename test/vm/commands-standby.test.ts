// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { eventually } from "../support/eventually.ts";
import { openSsh } from "../support/open-ssh.ts";
import { lookInto } from "../support/waiting-shells.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

const { look, lookInWaiting, lookInFresh } = lookInto(() => vm);

/** What has to differ: numbers of processes, pipes and cgroups; and a new bash shows the line that its own lines are counted from. */
const normalised = (text: string) =>
  text
    .replaceAll(/\b(pipe|socket|anon_inode):\[\d+\]/g, "$1:[N]")
    .replaceAll(/^(PPID|BASHPID|SRANDOM|RANDOM|EPOCH\w+|SECONDS)=.*$/gm, "$1=N")
    .replaceAll(/^LINENO=\d+\n/gm, "")
    .replaceAll(/smolvm\/[0-9a-f]+\/\d+/g, "smolvm/N/N");

const LOOKS: readonly (readonly [string, string])[] = [
  ["the environment", "env -0 | sort -z | tr '\\0' '\\n'"],
  ["all variables and functions", "set"],
  ["open files", "for fd in /proc/$$/fd/*; do echo ${fd##*/} $(readlink $fd); done"],
  ["parameters and options", 'echo "$0|$-|$#|$*|$SHLVL|${OLDPWD-unset}|$IFS|${PS4-}|${OPTIND-}|$!|$?"'],
  ["folder, umask and limits", "pwd; umask; ulimit -a"],
  // Of a job that has ended bash tells or not, as it happens. By SIGKILL: it now and then outlived a SIGTERM that came right
  // after its fork, which bash may have held then. And waited for, as no shell is started ahead while somebody is left.
  ["traps and jobs", "trap; jobs; trap : USR2; trap; sleep 60 & jobs; { kill -9 $!; wait $!; } 2>/dev/null"],
  ["aliases and shell options", "alias; set +o; shopt 2>/dev/null"],
  // Not as the last command: a new shell would become it. Which ones a shell catches for itself depends on what it has done.
  // Read by the shell itself: while it starts a process it blocks some.
  [
    "signals",
    "while read -r n v; do case $n in Sig[BIP]* | Shd*) echo $n $v ;; esac; done </proc/$$/status; :",
  ],
  [
    "what the kernel holds of it",
    "cat /proc/$$/oom_score_adj /proc/$$/cgroup; ps -o ni=,cls=,tty=,comm= -p $$; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$; echo $?",
  ],
  ["line numbers", "echo $LINENO\necho $LINENO; no-such-command 2>&1"],
  ["its command line, up to its code", "tr '\\0' '\\n' </proc/$$/cmdline | sed '/^-c$/q'"],
];

describe.each(["login", "raw"] as const)("a %s shell that was started ahead of time", (shell) => {
  it.each(LOOKS)("has the same as a fresh one: %s", async (_, script) => {
    const waiting = normalised(await lookInWaiting(script, shell));
    const fresh = normalised(await lookInFresh(script, shell));
    expect(waiting).toBe(fresh);
    expect(waiting).not.toBe("");
  });

  it("prints nothing of its own where the folder can't be entered", async () => {
    for (let i = 0; i < 2; i++) {
      await vm.run("true", { shell });
      await sleep(300); // time to start a shell ahead
      const printed: string[] = [];
      const running = vm.run("true", { shell, cwd: "/no/such", onStderr: (text) => void printed.push(text) });
      await expect(running).rejects.toThrow(/can't be entered/);
      expect(printed).toEqual([]);
    }
  });

  it("takes what begins with a dash for a script, as a fresh one does", async () => {
    for (const script of ["- ls", "--help", "--", "-c x"]) {
      const plain =
        shell === "login" ? ["bash", "-lc", "--", script, "bash"] : ["sh", "-c", "--", script, "sh"];
      const reference = await vm.run(plain, { shell: "raw" });
      expect(reference).toMatchObject({ exitCode: 127, stdout: "" });
      const said = new RegExp(`: ${script.split(" ")[0]}: (command )?not found\r?\n$`);
      expect(reference.stderr).toMatch(said);
      await lookInWaiting("true", shell);
      await sleep(500); // so that another one waits
      for (const more of [{}, { user: "root" }, { user: "daemon" }]) {
        const seen = await vm.run(script, { shell, ...more });
        expect([script, seen.exitCode, seen.stdout]).toEqual([script, 127, ""]);
        expect(seen.stderr).toMatch(said);
      }
      const typed = await vm.run(script, { shell, pty: true });
      expect([typed.exitCode, typed.stdout]).toEqual([127, expect.stringMatching(said)]);
    }
  });

  it("reads options, environment, folder and stdin like a fresh one", async () => {
    const options = { shell, cwd: "/var", env: { X: "a\nb" }, stdin: "in put\n" };
    await sleep(400);
    expect((await vm.run('cat; echo "$X" "$PWD" "${OLDPWD-unset}"', options)).stdout).toMatch(
      /^in put\na\nb \/var /,
    );
    await sleep(400);
    expect((await vm.run(["sh", "-c", 'echo "$0 $1"', "zero", "one"], { shell })).stdout).toBe("zero one\n");
  });
});

describe.each(["bash", "dash"])("a %s that was started ahead of time by a profile that", (shell) => {
  const withProfile = async (profile: string, body: () => Promise<void>) => {
    const asRoot = { shell: "raw", check: true } as const;
    await vm.run(["usermod", "-s", `/bin/${shell}`, "root"], asRoot);
    await vm.run("cat >/etc/profile.d/mine.sh", { ...asRoot, stdin: `${profile}\n` });
    await body();
    await vm.run("rm /etc/profile.d/mine.sh; usermod -s /bin/bash root", asRoot);
  };

  it("forbids to overwrite files is to the kernel what any other is", () =>
    withProfile("set -C", async () => {
      const script = "/bin/cat /proc/$$/oom_score_adj /proc/self/oom_score_adj";
      for (let times = 0; times < 3; times++) {
        expect((await look(script, "login")).text).toBe("0\n0");
        await sleep(700);
      }
    }));

  it("has no PATH takes a script of any length", () =>
    withProfile("PATH=; IFS=/", async () => {
      for (const length of [1_600, 120_000]) {
        for (let times = 0; times < 2; times++) {
          const { text } = await look(`: ${"y".repeat(length)}\necho "$PATH|$IFS"`, "login");
          expect(text).toBe("|/");
          await sleep(700);
        }
      }
    }));
});

it("one of each kind waits, where both are wanted in turn", async () => {
  const bothWaited = async () => {
    const waited: boolean[] = [];
    for (const shell of ["raw", "login"] as const) {
      await sleep(1500);
      waited.push((await look("true", shell)).hasWaited);
    }
    return !waited.includes(false);
  };
  await eventually(bothWaited, "both have waited", 60_000);
});

describe("what a shell reads as it starts is as new as the command", () => {
  const twice = async (script: string) => {
    await sleep(500);
    const waited = (await vm.run(script)).output;
    return [waited, (await vm.run(script)).output];
  };

  it("after setEnvVars and unsetEnvVars", async () => {
    for (const value of ["one", "two"]) {
      await vm.setEnvVars({ STANDBY: value });
      expect((await vm.run("echo $STANDBY")).output).toBe(value);
      expect(await twice("echo $STANDBY")).toEqual([value, value]);
    }
    await vm.unsetEnvVars(["STANDBY"]);
    expect(await twice("echo ${STANDBY-none}")).toEqual(["none", "none"]);
  });

  it("after a command that changed the profile", async () => {
    for (const value of ["one", "two"]) {
      await sleep(500);
      await vm.run(`echo 'export PROFILE=${value}' >/etc/profile.d/mine.sh`, { shell: "raw" });
      expect((await vm.run("echo $PROFILE")).output).toBe(value);
      expect(await twice("echo $PROFILE")).toEqual([value, value]);
    }
    await vm.run("rm /etc/profile.d/mine.sh");
    expect((await vm.run("echo ${PROFILE-none}")).output).toBe("none");
  });

  it("after something that a command left running has changed it later", async () => {
    await vm.run(
      "(sleep 1; echo 'export LATER=yes' >/etc/profile.d/later.sh; touch /tmp/changed; sleep 2) >/dev/null 2>&1 &",
    );
    for (let isChanged = false; !isChanged; ) {
      await sleep(100);
      const { output } = await vm.run("if [ -e /tmp/changed ]; then echo changed $LATER; fi");
      // It may have been changed between the start of the shell and its look.
      isChanged = output !== "";
    }
    expect((await vm.run("echo $LATER")).output).toBe("yes");
    await vm.run("rm /etc/profile.d/later.sh");
  });

  it("after a command in a terminal, or of another user, that changed it", async () => {
    await sleep(500);
    await vm.run("echo 'export TERMINAL=yes' >/etc/profile.d/mine.sh", { pty: true });
    expect((await vm.run("echo $TERMINAL")).output).toBe("yes");
    await vm.run("chown daemon /etc/profile.d/mine.sh");
    await sleep(500);
    await vm.run("echo 'export TERMINAL=no' >/etc/profile.d/mine.sh", { user: "daemon", shell: "raw" });
    expect((await vm.run("echo $TERMINAL")).output).toBe("no");
    await vm.run("rm /etc/profile.d/mine.sh");
  });

  it("after a session of plain ssh that changed it", async () => {
    for (const value of ["one", "two"]) {
      await lookInWaiting("true", "login");
      await sleep(700); // so that another one waits
      await openSsh(vm, "ssh", vm.name, `echo 'export BY_SSH=${value}' >/etc/profile.d/mine.sh`);
      expect((await vm.run("echo $BY_SSH")).output).toBe(value);
    }
    await vm.run("rm /etc/profile.d/mine.sh");
  });

  it("and is nothing where it is raw, also for eight at once", async () => {
    for (const bashrc of ["echo from bashrc; export LEAK=1", "exit 1"]) {
      await vm.run(`cp -p ~/.bashrc /tmp/kept; cat >~/.bashrc`, { stdin: `${bashrc}\n`, check: true });
      for (const command of ['echo "leak=$LEAK"', ["sh", "-c", 'echo "leak=$LEAK"']]) {
        const runs = Array.from({ length: 8 }, () => vm.run(command, { shell: "raw" }));
        for (const { exitCode, stdout, stderr } of await Promise.all(runs))
          expect([exitCode, stdout, stderr]).toEqual([0, "leak=\n", ""]);
      }
      await vm.run("mv /tmp/kept ~/.bashrc", { shell: "raw", check: true });
    }
  });

  it("after the login shell was changed while shells were being started", async () => {
    for (let round = 0; round < 4; round++)
      for (const shell of ["dash", "bash"]) {
        const others = Array.from({ length: 3 }, () => vm.run("true"));
        await Promise.all([
          vm.run(`usermod -s /bin/${shell} root`, { shell: "raw", check: true }),
          ...others,
        ]);
        const runs = await Promise.all(Array.from({ length: 4 }, () => vm.run("echo $0")));
        expect(runs.map(({ output }) => output)).toEqual(Array(4).fill(shell));
      }
  });

  it("after a passwd as old as the one before was moved in its place", async () => {
    for (const shell of ["dash", "bash"]) {
      await vm.run(
        `sed '/^root:/s,[^/]*$,${shell},' /etc/passwd >/etc/other; touch -r /etc/passwd /etc/other`,
      );
      await sleep(1_500); // so that a shell waits which has looked at the one before
      expect((await vm.run("echo $0")).output).not.toBe(shell);
      expect((await vm.run("mv /etc/other /etc/passwd; echo $SHELL", { shell: "raw" })).output).not.toBe(
        `/bin/${shell}`,
      );
      expect((await vm.run("echo $SHELL", { shell: "raw" })).output).toBe(`/bin/${shell}`);
      expect(await twice("echo $0")).toEqual([shell, shell]);
    }
  });

  it("soon after a passwd was written over that is given the time of the one before", async () => {
    for (const shell of ["dash", "bash"]) {
      const other = `sed '/^root:/s,[^/]*$,${shell},' /etc/passwd >/var/other; touch -r /etc/passwd /var/other`;
      await vm.run(other, { shell: "raw" });
      await sleep(1_500); // so that what is known is younger than that time
      await vm.run("true", { shell: "raw" });
      await vm.run("cp -p /var/other /etc/passwd", { shell: "raw" });
      const isSeen = async () => (await vm.run("echo $SHELL", { shell: "raw" })).output === `/bin/${shell}`;
      await eventually(isSeen, "it is seen", 10_000);
      expect(await twice("echo $0")).toEqual([shell, shell]);
    }
  });

  it("after the home was replaced", async () => {
    await sleep(500);
    await vm.run("mv /root /root.old; mkdir /root; touch /root/new");
    expect(await twice("pwd; ls")).toEqual(["/root\nnew", "/root\nnew"]);
    await vm.run("rm -r /root; mv /root.old /root");
    expect(await twice("pwd; ls")).toEqual(["/root", "/root"]);
  });

  it("though a command ended badly, was killed or timed out right before", async () => {
    for (const script of ["exit 3", "kill -9 $$", "no-such-command", "sleep 100"]) {
      await sleep(300);
      await vm.run(script, { timeout: 0.3 }).catch(() => {});
      expect((await vm.run("echo $?; pwd")).output).toBe("0\n/root");
    }
  });
});

describe("where memory is short", () => {
  it("no shell is started ahead of time", async () => {
    await lookInWaiting("true", "login");
    const fill =
      "free=$(awk '/MemAvailable/{print int($2/1024)}' /proc/meminfo); head -c $((free-24))M /dev/zero >/mnt/fill";
    await vm.run(`mount -t tmpfs -o size=90% none /mnt; ${fill}`, { check: true });
    for (let n = 0; n < 3; n++) {
      await sleep(1500);
      expect((await look("true", "login")).hasWaited).toBe(false);
    }
    await vm.run("umount /mnt");
    expect((await vm.run("echo next")).output).toBe("next");
  });
});
