import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { type BenchOptions, parseArguments, USAGE, UsageError } from "./arguments.ts";
import type { Bench, Section } from "./bench.ts";
import type { SectionResult } from "./measure/result.ts";
import { captureOutput } from "./processes.ts";
import { describeHost, formatHost } from "./report/host.ts";
import { formatReadme } from "./report/readme.ts";
import { type BenchReport, writeReport } from "./report/results-file.ts";
import { formatSection, formatVerdicts } from "./report/table.ts";
import { SECTIONS } from "./sections.ts";
import { openBench } from "./surroundings.ts";

const RESULTS = fileURLToPath(new URL("../bench/results", import.meta.url));

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const options = parse(argv);
  if (typeof options === "number") return options;
  const report = await runSections(options);
  const results = report.sections.map(({ result }) => result);
  print(formatVerdicts(results));
  if (options.showsReadme) print(formatReadme(results, formatHost(report.host, report.accelerator)));
  print(`Written to ${await writeReport(RESULTS, report)}\n`);
  return options.isCheck && !isAllMet(results) ? 1 : 0;
}

function parse(argv: readonly string[]): BenchOptions | number {
  try {
    const options = parseArguments(argv, SECTIONS);
    if (options !== "help") return options;
    print(
      `${USAGE}\nSections: ${SECTIONS.map(({ name, isOptional }) => (isOptional ? `${name} (only if named)` : name)).join(", ")}\n`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

async function runSections(options: BenchOptions): Promise<BenchReport> {
  const startedAt = new Date().toISOString();
  const host = await describeHost();
  const commit = await captureOutput(["git", "rev-parse", "HEAD"]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  const bench = await openBench(options);
  const sections: BenchReport["sections"][number][] = [];
  if (host.loadBefore > 0.5)
    bench.say(
      `this computer is not idle (load ${host.loadBefore.toFixed(1)}): ratios bear it, single figures less`,
    );
  for (const section of SECTIONS.filter(({ name }) => options.only.includes(name))) {
    const result = await runSection(section, bench);
    sections.push({ name: section.name, title: section.title, result });
    print(`\n${formatSection(section.title, result)}`);
  }
  const { accelerator } = bench;
  const { rounds, isQuick } = options;
  return {
    formatVersion: 1,
    startedAt,
    finishedAt: new Date().toISOString(),
    commit,
    accelerator,
    host,
    loadAfter: loadavg()[0] ?? 0,
    options: { rounds, isQuick },
    sections,
  };
}

/** A section that fails is reported, and the others go on. */
async function runSection(section: Section, bench: Bench): Promise<SectionResult> {
  bench.say(`section ${section.name}`);
  try {
    return await section.run(bench);
  } catch (error) {
    const stack = error instanceof Error ? error.stack : undefined;
    bench.say(stack ?? String(error));
    return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
}

/** A section that this version has no calls for yet does not count. */
function isAllMet(results: readonly SectionResult[]): boolean {
  return results.every((result) => {
    if (result.kind !== "measured") return result.kind === "skipped";
    return result.targets.every(({ verdict }) => verdict === "met");
  });
}

function print(text: string): void {
  process.stdout.write(text);
}
