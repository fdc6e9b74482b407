import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bench, Section } from "../bench.ts";
import { judge, ratioOf, type SectionResult } from "../measure/result.ts";
import { timeProgram } from "../processes.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";

const OURS = "smolvm --version";
const NODE = "node -e 0";

/** What the command line costs before it does anything. */
export const cliSection: Section = { name: "cli", title: "Start of the command line", run: runCli };

async function runCli(bench: Bench): Promise<SectionResult> {
  const main = join(fileURLToPath(import.meta.resolve("smolvm")), "../cli/main.js");
  const race = await bench.race(
    [
      { name: OURS, warmups: 2, sample: () => timeProgram([process.execPath, main, "--version"]) },
      { name: NODE, warmups: 2, sample: () => timeProgram([process.execPath, "-e", "0"]) },
    ],
    bench.rounds(20, 5),
  );
  const [ours, node] = [race.row(OURS), race.row(NODE)];
  const median = ours.summary?.median ?? null;
  return {
    kind: "measured",
    rows: [ours, node],
    targets: [judge({ claim: OURS, bound: "at most", limit: 150, unit: "ms", value: median, issue: 2 })],
    costs: cost(
      "`smolvm --version`",
      "`node -e 0`",
      ratioOf(ours, node),
      median === null ? "" : formatQuantity(median, "ms"),
    ),
    notes: [],
  };
}
