import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { readGuestScript } from "../../../src/ssh/protocol/guest-scripts.ts";

/** What the keeper answers where there are no cgroups, without its first line. */
function answersTo(lines: readonly string[]): string[] {
  const { stdout } = spawnSync(
    "/bin/bash",
    ["-c", readGuestScript("keeper"), "sh", "root", "/no/such/cgroup", "smolvm.none"],
    {
      input: lines.map((line) => `${line}\n`).join(""),
      encoding: "utf8",
    },
  );
  const [facts, ...answers] = stdout.trim().split("\n");
  expect(facts).toMatch(/^keeper 0 /);
  return answers;
}

describe("the keeper", () => {
  it("obeys a line once, however often it is sent", () => {
    const lines = ["1 sync", "2 sync", "2 sync", "1 sync", "3 sync"];
    expect(answersTo(lines)).toEqual(["1", "2", "3"]);
  });

  it("obeys a line that got lost when it comes again", () => {
    const lines = ["1 sync", "4 sync", "3 sync", "2 sync", "3 sync", "5 sync", "4 sync"];
    expect(answersTo(lines)).toEqual(["1", "4", "3", "2", "5"]);
  });

  it("does not take for a line what is left of a torn one", () => {
    expect(answersTo(["1 sync", "", "sync", "99999999 sync", "x sync", "2 sync"])).toEqual(["1", "2"]);
  });
});
