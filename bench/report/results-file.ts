import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SectionResult } from "../measure/result.ts";
import type { HostFacts } from "./host.ts";

export interface BenchReport {
  readonly formatVersion: 1;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly commit: string | null;
  readonly accelerator: string | null;
  readonly host: HostFacts;
  readonly loadAfter: number;
  readonly options: { readonly rounds: number | null; readonly isQuick: boolean };
  readonly sections: readonly {
    readonly name: string;
    readonly title: string;
    readonly result: SectionResult;
  }[];
}

/** Writes `<folder>/<date and time>.json` and returns its path. */
export async function writeReport(folder: string, report: BenchReport): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${report.startedAt.replaceAll(":", "-").replace(/\.\d+Z$/, "Z")}.json`);
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  return path;
}
