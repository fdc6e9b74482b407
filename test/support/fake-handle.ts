import type { Handle } from "../../src/sandbox/machine/handle.ts";
import { StatusCell } from "../../src/sandbox/machine/status.ts";
import { machinePaths, statePaths } from "../../src/state/paths.ts";

/** A machine of which only its folder and its status are there. `look` is called where a real one would ask how it stands. */
export function fakeHandle(home: string, look: () => void = () => {}): Handle {
  const state = statePaths({ SMOLVM_HOME: home });
  return {
    state,
    paths: machinePaths(state, "box"),
    status: new StatusCell("box"),
    settled: async () => look(),
  } as unknown as Handle;
}
