import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readGuestScript } from "../../../src/ssh/protocol/guest-scripts.ts";
import { waitingLine } from "../../../src/ssh/protocol/waiting-code.ts";
import type { CommandSpec } from "../../../src/ssh/spec/command-spec.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-waiting-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** What worker.sh has a shell run ahead of time. */
const CODE = readGuestScript("worker")
  .split("\n")
  .filter((line) => /^(bash|posix|leave)=/.test(line))
  .join("\n");
const LANGUAGES = { bash: "bash", dash: "posix" } as const;

interface Given {
  readonly shell?: keyof typeof LANGUAGES;
  readonly profile?: string;
  readonly line: string;
  /** What `others` says now. */
  readonly now?: string;
}

/** Such a shell that was started when `others` stood still at "5", after `profile`, and is given `line` when it stands at `now`. */
async function wait({ shell = "bash", profile = ":", line, now = "5" }: Given) {
  const [others, mark] = [join(folder, "cpu.stat"), join(folder, "mark")];
  writeFileSync(others, `usage_usec ${now}\n`);
  writeFileSync(mark, "1");
  const code = `"${"$"}1\n${"$"}${LANGUAGES[shell]}"`;
  const start = `${CODE}\nexec 7<&0 </dev/null ${shell} -c ${code} ${shell} word "${"$"}2" 'usage_usec 5' '' "${"$"}3"`;
  const running = spawn("bash", ["-c", start, "bash", profile, others, mark], { stdio: "pipe" });
  running.stdin.on("error", () => {}); // it may have given up
  running.stdin.end(`token\n${line}\nmore\n`);
  const [stdout, stderr] = await Promise.all([text(running.stdout), text(running.stderr)]);
  return { stdout, stderr, hasBegun: readFileSync(mark, "utf8") === "" };
}

const SPEC: CommandSpec = {
  ...{ command: "echo run", shell: "raw", timeoutMs: null, env: {}, cwd: null, user: null, terminal: null },
  ...{ stdin: { kind: "bytes", bytes: new Uint8Array() }, maxOutputBytes: 1, signal: null },
};
const WAITS = "\u0001token waits\n";
const GAVE_UP = { stderr: "", hasBegun: false };

describe.each(["bash", "dash"] as const)("a %s that waits for a command", (shell) => {
  it("runs the line that is meant for it, and says that it begins where it is to", async () => {
    const ran = { stdout: `${WAITS}run\n`, stderr: "", hasBegun: true };
    for (const letters of ["-", "-e"])
      expect(await wait({ shell, line: `#word ${letters} echo run` })).toEqual(ran);
    expect(await wait({ shell, line: "#word -e cat; echo run" })).toEqual(ran); // what follows the line is not its input
    const said = "\u0001token begun\n";
    expect(await wait({ shell, line: "#word -be echo run; cat" })).toEqual({
      ...{ stdout: `${WAITS}${said}run\n`, stderr: said, hasBegun: true },
    });
    expect(await wait({ shell, line: "#word -c A=1;__smolvm_l='echo run $A'" })).toEqual({
      ...ran,
      stdout: `${WAITS}run 1\n`,
    });
  });

  it.each([
    ["the line is meant for another one", "#other - echo run", "5"],
    ["somebody else was at work since it was started", "#word - echo run", "6"],
    ["what comes before its script fails", "#word -c false", "5"],
  ])("says nothing to the command's stderr where it gives up: %s", async (_, line, now) => {
    expect(await wait({ shell, line, now })).toEqual({ ...GAVE_UP, stdout: WAITS });
  });

  it("runs a trap of the profile's where it does not wait at all, or behind a command, and not where it gives up", async () => {
    const profile = "trap 'echo bye; echo bye >&2' EXIT";
    for (const [line, now] of [
      ["#word - echo run", "6"],
      ["#word -e echo run", "6"],
      ["exit", "5"],
      ["", "5"],
    ] as const) {
      const gaveUp = await wait({ shell, profile, line, now });
      expect(gaveUp).toMatchObject({ stderr: shell === "bash" ? "bye\n" : "", hasBegun: false });
      // A bash with such a trap does not wait at all: its command gets a shell of its own.
      if (shell === "bash") expect(gaveUp.stdout).not.toContain("waits");
      else expect(gaveUp.stdout).toBe(WAITS);
    }
    if (shell !== "bash")
      expect(await wait({ shell, profile, line: "#word - echo run" })).toMatchObject({
        stdout: `${WAITS}run\nbye\n`,
      });
  });

  it("tells nobody of a variable that the profile has made readonly", async () => {
    const line = waitingLine(
      { ...SPEC, env: { A: "1" } },
      { kind: LANGUAGES[shell], isLast: false, saysBegun: false, renewal: "A=2;", bulk: [] },
    );
    const { stdout, stderr } = await wait({ shell, profile: "readonly A=0", line: `#word ${line}` });
    expect(stdout.replace("run\n", "")).toBe(WAITS);
    expect(stderr).toBe("");
  });
});

it("a shell whose `command` is the profile's has begun nothing", async () => {
  const profile = "command() { :; }";
  for (const letters of ["-", "-e"])
    expect(await wait({ shell: "dash", profile, line: `#word ${letters} echo run` })).toEqual({
      ...GAVE_UP,
      stdout: "",
    });
});
