// Every check there is, real guests included. Ends with how many passed and failed; nothing may be skipped.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureImage } from "./image.mjs";
import { judgeResults } from "./results.mjs";
import { heading, setUp, tryRun } from "./setup.mjs";

/** Scripts of package.json. */
const CHECKS = ["lint", "typecheck", "check-unused", "check-package", "check-package-types"];

// The tests of `sshCommands` paste its strings into a shell, and those of the guardian have its script read by a linter.
await setUp(["ssh", "shellcheck"]);
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
    return judgeResults(existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null, status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Logs and programs read this: the runner's summary stays plain where stdout is no terminal. */
function withoutColour() {
  if (process.stdout.isTTY) return process.env;
  const { FORCE_COLOR: _, ...env } = process.env;
  return { ...env, NO_COLOR: "1" };
}
