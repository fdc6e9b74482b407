import type { Machine } from "../api.ts";
import type { CommandSpec, Outcome } from "../command.ts";
import { type LifeFlags, lifeFlags, lifeOptions, nameFlag } from "../machine-flags.ts";
import { withMachine } from "../open-machine.ts";
import { withoutUndefined } from "../options.ts";
import { formatNames } from "../text.ts";
import { parseCount } from "../values.ts";

export const fork: CommandSpec<{ readonly count?: number; readonly name?: string }> = {
  summary: "make running copies of a running machine, which goes on",
  operands: [["<name>", "the machine", "machine"]],
  flags: [
    { flags: "--count <count>", description: "how many, at most 64 (default: 1)", parse: parseCount },
    {
      flags: "--name <name>",
      description: "what the copy is called; several are NAME-1, NAME-2 … (default: readable names)",
    },
  ],
  examples: [
    ["smolvm fork web --name experiment", "what ran in web goes on running in both"],
    ["smolvm fork web --count 4 --name worker", "worker-1 to worker-4"],
  ],
  act: ([name = ""], flags, context) =>
    withMachine(name, context, async (vm) => {
      const { signal } = context;
      const forks = await vm.fork({ ...flags, persistent: true, signal });
      const machines = await Promise.all(forks.map(letGo));
      return { document: { machines }, text: formatNames(machines.map(({ name }) => name)) };
    }),
};

export const restore: CommandSpec<LifeFlags & { readonly name?: string }> = {
  summary: "make a machine that goes on where a snapshot was taken",
  operands: [["<snapshot>", "the snapshot", "snapshot"]],
  flags: [nameFlag, ...lifeFlags],
  examples: [
    ["smolvm restore before-upgrade", "prints the name of the machine, which stays until 'smolvm rm'"],
    ["smolvm restore before-upgrade --name web2 --port 8081:80", "as often as wanted, side by side"],
  ],
  async act([snapshot = ""], flags, context): Promise<Outcome> {
    const vm = await context.api.SmolVM.restore(snapshot, {
      ...withoutUndefined({ name: flags.name }),
      ...lifeOptions(flags, context),
      persistent: true,
    });
    const machine = await letGo(vm);
    return { document: { machine }, text: formatNames([machine.name]) };
  },
};

/** It stays; only its connections are closed. */
async function letGo(machine: Machine) {
  await using vm = machine;
  return await vm.info();
}
