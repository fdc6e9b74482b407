import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readGuestScript } from "../../../src/ssh/guest-scripts.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "smolvm-waiting-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** What worker.sh has bash run ahead of time. */
const BASH = readGuestScript("worker")
  .split("\n")
  .filter((line) => line.startsWith("bash="))
  .join("\n");

/** Such a shell that was started when `others` stood still at "5", and is given `line` when it stands at `now`. */
async function wait(line: string, now: string) {
  const others = join(folder, "cpu.stat");
  writeFileSync(others, `usage_usec ${now}\n`);
  const start = `${BASH}\nexec 7<&0 </dev/null;exec bash -c "$bash" bash word '' "$1" 5 '' /dev/null`;
  const shell = spawn("bash", ["-c", start, "bash", others], { stdio: "pipe" });
  shell.stdin.end(`token\n${line}\n`);
  const [stdout, stderr] = await Promise.all([text(shell.stdout), text(shell.stderr)]);
  return { stdout, stderr };
}

describe("a bash that waits for a command", () => {
  it("runs the line that is meant for it", async () => {
    expect(await wait("#word - echo run", "5")).toEqual({ stdout: "\u0001token waits\nrun\n", stderr: "" });
  });

  it.each([
    ["the line is meant for another one", "#other - echo run", "5"],
    ["somebody else was at work since it was started", "#word - echo run", "6"],
  ])("says nothing to the command's stderr where it gives up: %s", async (_, line, now) => {
    expect(await wait(line, now)).toEqual({ stdout: "\u0001token waits\n", stderr: "" });
  });
});
