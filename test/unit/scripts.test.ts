import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listExamples } from "../../scripts/example.mjs";
import { nextSteps } from "../../scripts/next-steps.mjs";
import { judgeResults } from "../../scripts/results.mjs";
import { matchesLockfile } from "../../scripts/setup.mjs";
import { COMMANDS } from "../../src/cli/commands/table.ts";
import { parseCommandLine } from "../../src/cli/grammar.ts";
import { REPOSITORY } from "../setup/sources.ts";

const test = (status: string) => ({ status, fullName: `a ${status} test` });
const file = (status: string, ...tests: object[]) => ({
  name: "/x.test.ts",
  status,
  assertionResults: tests,
});
const report = (...testResults: object[]) => ({ testResults });

describe("verify counts a test run", () => {
  it("as passed where every test passed", () => {
    expect(judgeResults(report(file("passed", test("passed"), test("passed"))), 0)).toEqual({
      passed: 2,
      problems: [],
    });
  });

  it.each(["failed", "skipped", "pending", "todo"])("a %s test is a problem, by name", (status) => {
    const { passed, problems } = judgeResults(report(file("passed", test("passed"), test(status))), 0);
    expect(passed).toBe(1);
    expect(problems).toEqual([`test ${status}: a ${status} test`]);
  });

  it("a file that can't be loaded is a problem", () => {
    expect(judgeResults(report(file("failed")), 1).problems).toEqual(["test file failed: /x.test.ts"]);
  });

  it("a run that ends badly with every test passed is a problem: something was left behind", () => {
    expect(judgeResults(report(file("passed", test("passed"))), 1).problems).toEqual([
      "the test run ended with status 1",
    ]);
  });

  it("a run without a report, or without tests, is a problem", () => {
    expect(judgeResults(null, 1).problems).toHaveLength(1);
    expect(judgeResults(null, 0).problems).toEqual(["no test ran"]);
    expect(judgeResults(report(), 0).problems).toEqual(["no test ran"]);
  });
});

describe("packages are installed again unless they match the lockfile", () => {
  const wanted = {
    "": { version: "0.1.0" },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/b-darwin": { version: "2.0.0", optional: true },
  };
  const installed = { "node_modules/a": { version: "1.0.0", integrity: "sha512-a" } };
  const everywhere = () => true;
  const matches = (change: object, exists: (path: string) => boolean = everywhere) =>
    matchesLockfile(wanted, { ...installed, ...change }, exists);

  it("the same packages match; those of other platforms may be absent or there", () => {
    expect(matches({})).toBe(true);
    expect(matches({ "node_modules/b-darwin": { version: "2.0.0", integrity: "sha512-b" } })).toBe(true);
  });

  it.each([
    ["another version", { "node_modules/a": { version: "1.0.1", integrity: "sha512-a" } }],
    ["another content", { "node_modules/a": { version: "1.0.0", integrity: "sha512-x" } }],
    ["one too many", { "node_modules/c": { version: "1.0.0" } }],
  ])("%s does not match", (_what, change) => {
    expect(matches(change)).toBe(false);
  });

  it("one too few does not match, nor one whose folder is gone", () => {
    expect(matchesLockfile(wanted, {}, everywhere)).toBe(false);
    expect(matches({}, () => false)).toBe(false);
  });
});

describe("quickstart ends with what can be done next", () => {
  it("which are lines that work, and pages that are there", async () => {
    const lines = nextSteps().trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(4);
    const typed = lines.map((line) => line.replace(/#.*/, "").trim().split(/ +/));
    const commands = typed
      .filter(([program]) => program === "node")
      .map(([, file, ...argv]) => ({ file, argv }));
    expect(commands.length).toBeGreaterThan(0);
    for (const { file, argv } of commands) {
      expect(file).toBe("dist/cli/main.js");
      expect(await parseCommandLine(argv, COMMANDS, "")).toMatchObject({ kind: "command" });
    }
    for (const [, name] of nextSteps().matchAll(/npm run example (\S+)/g))
      expect(listExamples()).toContain(name);
    const pages = [...nextSteps().matchAll(/\bdocs\/\S+\.md/g)].map(([path]) => path);
    expect(pages.length).toBeGreaterThan(0);
    for (const page of pages) expect(existsSync(join(REPOSITORY, page)), page).toBe(true);
    expect(readFileSync(join(REPOSITORY, "scripts", "quickstart.mjs"), "utf8")).toContain("nextSteps()");
  });
});
