// From a clean checkout to the output of a command in a real machine.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runExample } from "./example.mjs";
import { ensureImage } from "./image.mjs";
import { nextSteps } from "./next-steps.mjs";
import { heading, REPOSITORY, setUp } from "./setup.mjs";

await setUp();
await ensureImage();
heading("Running examples/hello.ts in a fresh machine");
const program = readFileSync(join(REPOSITORY, "examples", "hello.ts"), "utf8");
process.stdout.write(`\n${program.trimEnd().replaceAll(/^(?=.)/gm, "    ")}\n\n`);
process.exitCode = runExample("hello");
if (process.exitCode === 0) {
  heading("What next");
  process.stdout.write(`\n${nextSteps()}\n`);
}
