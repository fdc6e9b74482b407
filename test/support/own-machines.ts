import { afterEach } from "vitest";
import { SmolVM } from "../../src/index.ts";

/**
 * For tests whose machines outlive no scope. A test that fails midway loses what it made, so that nothing hides its own error; one
 * that passes has to remove it itself.
 */
export function clearAfterFailures(): <T extends SmolVM | readonly SmolVM[]>(made: Promise<T>) => Promise<T> {
  const made = new Set<SmolVM>();
  afterEach(async ({ task }) => {
    const left = [...made];
    made.clear();
    if (task.result?.state !== "fail") return;
    await Promise.allSettled(left.map((vm) => vm.delete()));
    const names = (await SmolVM.listSnapshots()).map(({ name }) => name);
    await Promise.allSettled(names.map((name) => SmolVM.deleteSnapshot(name)));
  });
  return async (making) => {
    const machines = await making;
    for (const vm of [machines].flat()) made.add(vm as SmolVM);
    return machines;
  };
}
