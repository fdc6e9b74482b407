// Builds the image that machines start from, saying what it does: it takes a minute or more, once.
import { giveUp, heading } from "./setup.mjs";

const QUIET_MS = 5000;

export async function ensureImage(name = "debian") {
  const { buildImage } = await import("../dist/index.js");
  const { describeProgress } = await import("../dist/cli/progress.js");
  const startedMs = performance.now();
  heading(`Image "${name}"`);
  const show = reportSometimes();
  try {
    await buildImage(name, { onProgress: (event) => show(event.phase, describeProgress(event)) });
  } catch (error) {
    giveUp(`The image could not be built: ${error.message}`, error.remediation);
  }
  process.stdout.write(`    ready after ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
}

/** A line for each new step, and one every few seconds within one: right for a terminal and for a log. */
function reportSometimes() {
  let last = { phase: "", text: "", atMs: 0 };
  return (phase, text) => {
    const nowMs = performance.now();
    if (text === last.text || (phase === last.phase && nowMs - last.atMs < QUIET_MS)) return;
    process.stdout.write(`    ${text}\n`);
    last = { phase, text, atMs: nowMs };
  };
}
