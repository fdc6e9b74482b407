import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compileExamples, listExamples } from "../../scripts/example.mjs";
import { buildImage } from "../../src/index.ts";
import { requireBuilt } from "../setup/cli-process.ts";
import { REPOSITORY } from "../setup/sources.ts";

/** Packages are downloaded, unpacked and configured by an emulated processor. */
const TIMEOUT_MS = 600_000;

/** An error that nobody catches is printed whole: the last lines of a guest's console are the ones that count. */
const WHOLE_ERRORS =
  "data:text/javascript,import { inspect } from 'node:util'; inspect.defaultOptions.maxStringLength = Infinity;";

let folder = "";

function runExample(name: string): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, ["--import", WHOLE_ERRORS, join(folder, `${name}.js`)]);
}

beforeAll(async () => {
  requireBuilt();
  folder = compileExamples(listExamples());
  await buildImage("debian");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each(listExamples())("examples/%s.ts prints what it should", { timeout: TIMEOUT_MS }, async (name) => {
  const { stdout, stderr } = await runExample(name);
  const expected = readFileSync(join(REPOSITORY, "examples", `${name}.out`), "utf8");
  expect(stdout).toMatch(toPattern(expected));
  expect(stderr).toBe("");
});

it("the habits of examples/performance.ts do save time", { timeout: TIMEOUT_MS }, async () => {
  const { stdout } = await runExample("performance");
  const [oneByOne = 0, chained = 0, , , hanging = 0] = [...stdout.matchAll(/([\d.]+) ms/g)].map(([, ms]) =>
    Number(ms),
  );
  expect(chained).toBeLessThan(oneByOne);
  expect(hanging).toBeLessThan(30_000);
});

/** `…` stands for any part of a line. */
function toPattern(expected: string): RegExp {
  const literal = expected.split("…").map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`);
}
