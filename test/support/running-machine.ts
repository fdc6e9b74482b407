import { recordedMachine } from "../../src/sandbox/holder/new-machine.ts";
import type { Booted, Machine } from "../../src/sandbox/machine/machine.ts";
import type { MachineSpec } from "../../src/state/machine-record.ts";
import type { StateFolder } from "./state-folder.ts";

/** A persistent machine called "box" of this process, which counts as running. Of its boot only what is given is there. */
export async function runMachine(
  folder: StateFolder,
  booted: { readonly qemu: object; readonly runner?: object; readonly setup?: object },
  spec: Partial<MachineSpec> = {},
): Promise<Machine> {
  const { paths, record } = await folder.put("box", { persistent: true, wasBooted: true });
  const machine = recordedMachine(folder.state, paths, { ...record, spec: { ...record.spec, ...spec } }, {});
  const nothing = { runner: null, hostKey: null, limits: null, report: {} };
  machine.booted = { ...nothing, ...booted } as unknown as Booted;
  machine.status.change("starting", "start");
  machine.status.change("running", "start");
  return machine;
}
