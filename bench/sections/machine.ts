import { SmolVM, type SmolVMOptions } from "smolvm";
import type { Bench } from "../bench.ts";

/** A running machine for a whole section, deleted at its end. */
export function useMachine<T>(
  bench: Bench,
  options: SmolVMOptions,
  body: (vm: SmolVM) => Promise<T>,
): Promise<T> {
  return SmolVM.use({ sshKeyPath: bench.keyPath, ...options }, async (vm) => {
    const { boot } = await vm.info();
    bench.accelerator = boot?.accelerator ?? null;
    return await body(vm);
  });
}
