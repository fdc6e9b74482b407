import { SmolVM, type SmolVMOptions } from "smolvm";
import type { Row } from "../measure/result.ts";
import { row } from "../measure/result.ts";

/** The stretches of several starts, by name, in the order they were first seen. */
export type PhaseSamples = Map<string, number[]>;

/** From the call of create() to the first command's result, in milliseconds; the machine is deleted afterwards, off the clock. */
export async function timeFirstResult(
  options: SmolVMOptions,
  phases?: PhaseSamples,
  command: { readonly shell?: "raw" | "login" } = {},
): Promise<number> {
  const startMs = performance.now();
  const vm = await SmolVM.create(options);
  try {
    const upMs = performance.now();
    await vm.run("true", { ...command, check: true });
    const endMs = performance.now();
    const { boot } = await vm.info();
    for (const { name, ms } of [...(boot?.phases ?? []), { name: "first result", ms: endMs - upMs }]) {
      phases?.set(name, [...(phases.get(name) ?? []), ms]);
    }
    return endMs - startMs;
  } finally {
    await vm.delete();
  }
}

export function phaseRows(phases: PhaseSamples): Row[] {
  return [...phases].map(([name, samples]) => row(`  · ${name}`, "ms", samples));
}
