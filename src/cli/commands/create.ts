import type { CommandSpec } from "../command.ts";
import {
  type LifeFlags,
  lifeFlags,
  lifeOptions,
  type ShapeFlags,
  shapeFlags,
  shapeOptions,
} from "../machine-flags.ts";
import { withoutUndefined } from "../options.ts";
import { formatNames } from "../text.ts";

export const create: CommandSpec<ShapeFlags & LifeFlags> = {
  summary: "make a machine that stays, and start it",
  description: `Make a machine that stays until 'smolvm rm', and start it. Prints its name.

It goes on when smolvm has ended, and keeps its disk when it is stopped.`,
  operands: [["[name]", "what it is called: a-z, 0-9, - and _ (default: a readable name that is free)"]],
  flags: [...shapeFlags, ...lifeFlags],
  examples: [
    ["smolvm create web", "a Debian machine of that name"],
    ["smolvm create db --memory 2G --cpus 2 --disk 20G", "a bigger one"],
    ["smolvm create web --port 8080:80", "http://127.0.0.1:8080 is port 80 of the guest"],
    ["smolvm create ci --label job=42 --ttl 1h --host-cpus 1.5", "found by its label, stopped after an hour"],
    ["name=$(smolvm create --image tiny)", "for scripts: a name that is free"],
  ],
  async act([name], flags, context) {
    await using vm = await context.api.SmolVM.create({
      ...withoutUndefined({ name }),
      ...shapeOptions(flags),
      ...lifeOptions(flags, context),
      persistent: true,
    });
    return { document: { machine: await vm.info() }, text: formatNames([vm.name]) };
  },
};
