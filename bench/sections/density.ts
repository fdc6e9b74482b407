import { readFile } from "node:fs/promises";
import { SmolVM, type SmolVMOptions } from "smolvm";
import type { Bench, Section } from "../bench.ts";
import { judge, ratioOf, row, type SectionResult } from "../measure/result.ts";
import { parsePssMib } from "../measure/smaps.ts";
import { cost } from "../report/readme.ts";
import { formatQuantity } from "../report/table.ts";

/** What an idle machine takes of the host's memory, its share of what it shares included. */
export const densitySection: Section = {
  name: "density",
  title: "Memory of idle 512 MiB machines",
  run: runDensity,
};

async function runDensity(bench: Bench): Promise<SectionResult> {
  const [clones, colds] = bench.isQuick ? [4, 2] : [32, 8];
  const options: SmolVMOptions = { memSizeMib: 512, sshKeyPath: bench.keyPath };
  const cold = row(
    `each of ${colds} booted cold`,
    "MiB",
    await pssOfIdle(colds, { ...options, template: "off" }),
  );
  const clone = row(
    `each of ${clones} clones`,
    "MiB",
    await pssOfIdle(clones, { ...options, template: "auto" }),
  );
  const ratio = ratioOf(clone, cold);
  return {
    kind: "measured",
    rows: [clone, cold],
    targets: [
      judge({
        claim: "memory of a clone ÷ booted cold",
        bound: "at most",
        limit: 1 / 3,
        unit: "×",
        value: ratio,
        issue: 4,
      }),
    ],
    costs: cost(
      "Host memory of an idle machine",
      "booted cold",
      ratio,
      clone.summary ? formatQuantity(clone.summary.median, "MiB") : "",
    ),
    notes: ["Proportional set size of the QEMU process, after one command."],
  };
}

async function pssOfIdle(count: number, options: SmolVMOptions): Promise<number[]> {
  const machines: SmolVM[] = [];
  try {
    while (machines.length < count) {
      const vm = await SmolVM.create(options);
      machines.push(vm);
      await vm.run("true", { check: true });
    }
    return await Promise.all(machines.map(pssOf));
  } finally {
    await Promise.all(machines.map((vm) => vm.delete()));
  }
}

async function pssOf(vm: SmolVM): Promise<number> {
  const { pid } = await vm.info();
  return parsePssMib(await readFile(`/proc/${pid}/smaps_rollup`, "utf8"));
}
