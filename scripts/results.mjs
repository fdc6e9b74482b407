// What a test run came to, by vitest's JSON report.

/**
 * How many tests passed, and one problem for each that did not: a test that was skipped proves nothing.
 * `report`: vitest's JSON, null where there is none; `status`: the exit status of vitest.
 */
export function judgeResults(report, status) {
  const modules = report?.testResults ?? [];
  const tests = modules.flatMap(({ assertionResults }) => assertionResults);
  const unproved = tests.filter((test) => test.status !== "passed");
  // A file that can't be loaded has no tests to fail.
  const broken = modules.filter(
    (module) => module.status === "failed" && module.assertionResults.length === 0,
  );
  const problems = [
    ...unproved.map((test) => `test ${test.status}: ${test.fullName}`),
    ...broken.map(({ name }) => `test file failed: ${name}`),
  ];
  if (status !== 0 && problems.length === 0) problems.push(`the test run ended with status ${status}`);
  if (tests.length === 0 && problems.length === 0) problems.push("no test ran");
  return { passed: tests.length - unproved.length, problems };
}
