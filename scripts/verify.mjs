// Every check there is, real guests included. Ends with how many passed and failed; nothing may be skipped.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureImage } from "./image.mjs";
import { heading, setUp, tryRun } from "./setup.mjs";

/** Scripts of package.json. */
const CHECKS = ["lint", "typecheck", "check-unused", "check-package", "check-package-types"];

// The tests of `sshCommands` paste its strings into a shell.
await setUp(["ssh"]);
const failedChecks = CHECKS.filter((name) => {
  heading(`Checking: ${name}`);
  return tryRun("npm", ["run", "--silent", name]) !== 0;
});
await ensureImage("debian");
await ensureImage("tiny");
heading("Running the tests, real guests included");
const { passed, problems } = runTests();
const failures = [...failedChecks.map((name) => `check failed: npm run ${name}`), ...problems];
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.stdout.write(`${passed} passed, ${failures.length} failed\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

function runTests() {
  const folder = mkdtempSync(join(tmpdir(), "smolvm-verify-"));
  const file = join(folder, "results.json");
  try {
    const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${file}`];
    const status = tryRun(join("node_modules", ".bin", "vitest"), ["run", ...reporters], withoutColour());
    return readResults(file, status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One problem for each test that did not pass: a test that was skipped proves nothing. */
function readResults(file, status) {
  const modules = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).testResults : [];
  const tests = modules.flatMap(({ assertionResults }) => assertionResults);
  const problems = tests
    .filter((test) => test.status !== "passed")
    .map((test) => `test ${test.status}: ${test.fullName}`);
  const empty = modules.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  problems.push(...empty.map(({ name }) => `test file failed: ${name}`));
  if (status !== 0 && problems.length === 0) problems.push(`the test run ended with status ${status}`);
  return { passed: tests.length - tests.filter((test) => test.status !== "passed").length, problems };
}

/** Logs and programs read this: the runner's summary stays plain where stdout is no terminal. */
function withoutColour() {
  if (process.stdout.isTTY) return process.env;
  const { FORCE_COLOR: _, ...env } = process.env;
  return { ...env, NO_COLOR: "1" };
}
