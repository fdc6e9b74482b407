import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CLI, requireBuilt } from "../setup/cli-process.ts";
import { eventually } from "../support/eventually.ts";

/** How each shell is started without anybody's settings, and told of the completion. */
const SHELLS = {
  bash: { args: ["--norc", "--noprofile", "-i"], setting: "source <(smolvm completion bash)" },
  zsh: {
    args: ["-f", "-i"],
    setting: "autoload -U compinit; compinit -D; source <(smolvm completion zsh)",
  },
  fish: { args: ["--no-config", "-i"], setting: "smolvm completion fish | source" },
} as const;

/** bash is on every host that this is tested on; the others are tried where they are. */
const isThere = (shell: string) => shell === "bash" || spawnSync(shell, ["-c", "true"]).status === 0;
const shells = (Object.keys(SHELLS) as (keyof typeof SHELLS)[]).filter(isThere);

let folder: string;

/** A `smolvm` that says how it was called, but where it is asked by the shell. */
beforeAll(() => {
  requireBuilt();
  folder = mkdtempSync(join(tmpdir(), "smolvm-completion-"));
  mkdirSync(join(folder, "bin"));
  const node = `exec '${process.execPath}' '${CLI}' "$@"`;
  const script = `#!/bin/sh\ncase $1 in __complete | completion) test -t 1 || ${node} ;; esac\necho "called:$(printf '<%s>' "$@")"\n`;
  writeFileSync(join(folder, "bin", "smolvm"), script);
  chmodSync(join(folder, "bin", "smolvm"), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A terminal with that shell in it, and somebody who types. */
async function openShell(shell: keyof typeof SHELLS) {
  const { args, setting } = SHELLS[shell];
  const env = {
    ...process.env,
    ...{
      PATH: `${join(folder, "bin")}:${process.env.PATH}`,
      HOME: folder,
      SMOLVM_HOME: join(folder, "home"),
    },
    ...{ TERM: "dumb", PS1: "> ", SHELL: "/bin/sh", HISTFILE: "/dev/null" },
  };
  const script = spawn("script", ["-qefc", [shell, ...args].join(" "), "/dev/null"], { stdio: "pipe", env });
  let shown = "";
  script.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  const until = (condition: () => boolean, what: string) =>
    eventually(condition, `${shell} ${what}, not ${JSON.stringify(shown)}`, 20_000);
  script.stdin.write(`${setting}; echo rea''dy\r`);
  await until(() => /^ready/m.test(shown), "is ready");
  return {
    /** Types `line`, Tab, Enter, and returns how smolvm was called then. */
    async complete(line: string): Promise<string> {
      const from = shown.length;
      script.stdin.write(line);
      await until(() => shown.length > from, "shows what is typed");
      await settled();
      const typed = shown.length;
      script.stdin.write("\t");
      await until(() => shown.length > typed, "completes");
      await settled();
      script.stdin.write("\r");
      const called = () => /^called:(.*)$/m.exec(shown.slice(from))?.[1];
      await until(() => called() !== undefined, "calls smolvm");
      return called()?.trim() ?? "";
    },
    close: () => script.kill("SIGKILL"),
  };

  async function settled(): Promise<void> {
    for (let length = -1; length !== shown.length; ) {
      length = shown.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}

describe.each(shells)("completion in %s", (shell) => {
  let opened: Awaited<ReturnType<typeof openShell>>;
  beforeAll(async () => {
    opened = await openShell(shell);
  });
  afterAll(() => opened?.close());

  it.each([
    ["smolvm prun", "<prune>"],
    ["smolvm image insp", "<image><inspect>"],
    ["smolvm run --image ti", "<run><--image><tiny>"],
    ["smolvm run --image=ti", "<run><--image=tiny>"],
    ["smolvm ls --al", "<ls><--all>"],
    ["smolvm completion ba", "<completion><bash>"],
  ])("makes of %j a call of smolvm with %s", async (line, called) => {
    expect(await opened.complete(line)).toBe(called);
  });
});
