// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is shell code
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SmolVM } from "../../src/index.ts";
import { chooseSeed, seededRandom } from "../support/random.ts";

let vm: SmolVM;
beforeAll(async () => {
  vm = await SmolVM.create();
});
afterAll(() => vm.delete());

/** Scripts at the edges of what a shell takes. */
const SCRIPTS: readonly string[] = [
  "echo a\\\nb; echo c\\\\\necho 'd\\\ne'",
  "echo end \\",
  "echo one # a comment",
  "# only a comment",
  "echo a\n\n\necho b\n",
  "\n\n  echo indented\n\t",
  "cat <<EOF\n$((1 + 1)) `echo back` \\$x \"quoted\" 'single'\nEOF",
  "cat <<'EOF'\n$((1 + 1)) `echo back` \\$x\\\n\nEOF\necho after",
  "cat <<-EOF\n\t\ttabs go\n\tEOF\necho after",
  "cat <<A; cat <<B\nfirst\nA\nsecond\nB",
  "cat <<EOF\nnever ended",
  "echo 'never ended",
  "if true; then echo half",
  "echo before; )",
  'f() { echo "f $1 $# $0"; return 4; }\nf a b\necho $?',
  "trap 'echo bye $?' EXIT\nexit 6",
  "trap 'echo caught' USR1; kill -USR1 $$; echo after",
  "set -e; false; echo unreached",
  "set -u; echo $unset_one; echo unreached",
  "set -x; echo traced",
  "set -- a 'b c'; echo $# \"$2\"; shift; echo $1",
  "x='a  b'; echo $x \"$x\"; IFS=:; y=1:2; echo $y",
  "exec 3>&1; echo three >&3; exec >&2; echo moved",
  "(exit 3); echo $?; ! true; echo $?",
  "echo $(printf 'a\\n\\n'; exit 2)$?; printf 'no newline'",
  "for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done; while read -r l; do echo $l; done <<E\nx y\nE",
  "case abc in a*) echo yes ;; *) echo no ;; esac",
  "echo ~ ~root $HOME; cd /; echo $PWD $OLDPWD; pwd",
  "echo $0 $- $# $SHLVL; echo ${1-none}",
  "eval 'echo evaluated'; . /dev/null; command -v cd; type echo",
  "exec echo replaced\necho unreached",
  "return 3; echo after-return",
  "break; continue; echo here",
  "alias ll='echo aliased'\nll",
  "sleep 0.1 & wait $!; echo $?; kill -TERM $$; echo unreached",
  "umask; echo $((0x1f)) $((7 / 2)) ${HOME#/} ${x:-def} ${#HOME}",
  "nonsense-command; echo $?; /etc/passwd; echo $?; /no/such; echo $?",
  "printf '%s\\n' 'Grüße, 世界 😀' \"\u0001\u0002\u007f\"",
  "echo a;echo b&&echo c||echo d|cat;{ echo e; }",
  "exit 256",
  "exit -1",
];

describe.each([
  ["login", "bash", "-lc"],
  ["raw", "/bin/sh", "-c"],
] as const)("a script in a %s shell does what it does in `%s %s`", (shell, program, option) => {
  it.each(SCRIPTS.map((script) => [script]))("%j", async (script) => {
    const own = await vm.run(script, { shell });
    const reference = await vm.run([program, option, script, ...(shell === "login" ? ["bash"] : ["sh"])], {
      shell: "raw",
    });
    expect([own.exitCode, own.signal, own.stdout]).toEqual([
      reference.exitCode,
      reference.signal,
      reference.stdout,
    ]);
    expect(withoutPlace(own.stderr)).toBe(withoutPlace(reference.stderr));
  });
});

/** Where in the script, and in which shell, an error was: our own `eval` adds to it, as it does to the signs of `set -x`. */
function withoutPlace(stderr: string): string {
  const places = /^(bash|sh|\/bin\/sh): (eval: |-c: )?(line )?\d+: (eval: )?/gm;
  return stderr.replaceAll(places, "").replaceAll(/^\++ /gm, "+ ");
}

/** What our own shells call their variables, or have called them. */
const NAMES =
  "__script __c __g __l __u __n __r __rest __at __name __session name rest at session n list text kind shell whole begin before folder values user token note own group account account_id mark chowned lines line home uid gid listed status killed left begun spare once woken others used smolvm names pair each more code length carried lent pieces between room quoted nl v w argc script command POSIXLY_CORRECT".split(
    " ",
  );

describe("variables that are called as ours", () => {
  const env = Object.fromEntries(NAMES.map((name) => [name, `its ${name}`]));
  const printed = NAMES.map((name) => `its ${name}\n`).join("");
  const commands = [
    ["printenv", ...NAMES],
    `printenv ${NAMES.join(" ")}`,
    `: ${"y".repeat(110_000)}\nprintenv ${NAMES.join(" ")}`,
  ];

  it.each(["login", "raw"] as const)("reach a command unharmed, in a %s shell", async (shell) => {
    for (const command of commands)
      for (const more of [{}, { user: "daemon" }, { pty: true }, { stdin: "x" }])
        for (const pauseMs of [0, 500]) {
          await sleep(pauseMs);
          const { stdout } = await vm.run(command, { shell, env, ...more });
          expect([more, stdout.replaceAll("\r", "")]).toEqual([more, printed]);
        }
  });

  it("are those of the profile, and none of ours is among them", async () => {
    const { POSIXLY_CORRECT: _, ...vars } = env; // bash itself becomes another one by it
    await vm.setEnvVars(vars);
    for (const pauseMs of [0, 1_000]) {
      await sleep(pauseMs);
      const names = Object.keys(vars);
      const { stdout } = await vm.run(`printenv ${names.join(" ")}`);
      expect(stdout).toBe(names.map((name) => `its ${name}\n`).join(""));
    }
    await vm.setEnvVars({}, { merge: false });
    for (const shell of ["login", "raw"] as const)
      for (const more of [{}, { env: { A: "1" } }, { user: "daemon" }, { pty: true }])
        for (const pauseMs of [0, 500]) {
          await sleep(pauseMs);
          const { stdout } = await vm.run("set; env", { shell, ...more });
          const ours = stdout
            .split(/\r?\n/)
            .filter((line) => /^(__|smolvm)/.test(line) || NAMES.includes(line.replace(/=.*/, "")));
          expect([shell, more, ours]).toEqual([shell, more, []]);
        }
  });
});

describe("a long script", () => {
  it("of 200 KB and more is run to the byte", async () => {
    const seed = chooseSeed();
    const random = seededRandom(seed);
    const letters = [..."abc 'é\\$\"`\n\t😀%#!"];
    for (const shell of ["login", "raw"] as const) {
      const texts = Array.from({ length: 300 }, () =>
        Array.from({ length: 600 + random(300) }, () => letters[random(letters.length)]).join(""),
      );
      const script = texts.map((text) => `printf '%s\\n' '${text.replaceAll("'", "'\\''")}'`).join("\n");
      expect(script.length).toBeGreaterThan(200_000);
      const { stdoutBytes, stderr } = await vm.run(script, { shell, timeout: 60 });
      expect(stderr, `seed ${seed}`).toBe("");
      expect(
        Buffer.compare(stdoutBytes, Buffer.from(texts.map((text) => `${text}\n`).join(""))),
        `seed ${seed}`,
      ).toBe(0);
    }
  });

  it("of any length around those where it travels in another way is run", async () => {
    for (const length of [
      1400, 1480, 1490, 1500, 1510, 1520, 4090, 4100, 32_760, 32_770, 65_540, 131_080, 1_000_000,
    ]) {
      const script = `printf end; : ${"x".repeat(length - 14)}`;
      const { stdout, exitCode } = await vm.run(`${script}\nexit 3`, { shell: "raw", timeout: 60 });
      expect([length, stdout, exitCode]).toEqual([length, "end", 3]);
    }
  });

  it("as long as is taken is run by a fresh shell and by one that has waited, as any user", async () => {
    const env = { A: "y".repeat(100_000) };
    const script = `printf $#\${#A}; : ${"x".repeat(1_966_080 - 100_200)}`;
    for (const options of [{}, { shell: "raw" }, { user: "daemon" }, { pty: true }] as const) {
      for (const pauseMs of [0, 500]) {
        await sleep(pauseMs);
        const { stdout } = await vm.run(script, { ...options, env, timeout: 120 });
        expect([options, stdout]).toEqual([options, "0100000"]);
      }
    }
  });
});
