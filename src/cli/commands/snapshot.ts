import type { CommandGroup, CommandSpec } from "../command.ts";
import { doEach } from "../each.ts";
import { withMachine } from "../open-machine.ts";
import { formatBytes, formatMib, formatNames, formatTable } from "../text.ts";

const create: CommandSpec = {
  summary: "save a running machine, memory and disk, while it goes on",
  operands: [
    ["<name>", "the machine", "machine"],
    ["[snapshot]", "what the snapshot is called (default: a readable name that is free)"],
  ],
  examples: [
    ["smolvm snapshot web before-upgrade", "then: smolvm restore before-upgrade"],
    ["smolvm snapshot create ls", "the long form, for a machine that is called ls or rm"],
  ],
  async act([name = "", wanted], _flags, context) {
    const { signal } = context;
    const snapshot = await withMachine(name, context, (vm) => vm.snapshot(wanted, { signal }));
    return { document: { snapshot }, text: formatNames([snapshot.name]) };
  },
};

const ls: CommandSpec<{ readonly quiet?: boolean }> = {
  summary: "list the snapshots on this host",
  flags: [{ flags: "-q, --quiet", description: "names only" }],
  examples: [["smolvm snapshot ls", "the newest first"]],
  async act(_operands, { quiet = false }, { api }) {
    const snapshots = await api.SmolVM.listSnapshots();
    const rows = snapshots.map((snapshot) => [
      snapshot.name,
      snapshot.sourceName,
      snapshot.image ?? "-",
      formatMib(snapshot.memSizeMib),
      String(snapshot.vcpuCount),
      snapshot.createdAt,
      formatBytes(snapshot.sizeBytes),
    ]);
    const head = ["NAME", "SOURCE", "IMAGE", "MEMORY", "CPUS", "CREATED", "SIZE"];
    const text = quiet ? formatNames(snapshots.map(({ name }) => name)) : formatTable(head, rows);
    return { document: { snapshots }, text };
  },
};

const rm: CommandSpec = {
  summary: "remove snapshots; machines that were restored from them live on",
  operands: [["<snapshots...>", "the snapshots", "snapshot"]],
  examples: [["smolvm snapshot rm before-upgrade", "its disk space is free again"]],
  act: (names, _flags, context) =>
    doEach(names, context, "removed", (name) => context.api.SmolVM.deleteSnapshot(name)),
};

export const snapshot: CommandGroup = {
  summary: "save running machines; list and remove what was saved",
  commands: { create, ls, rm },
  usual: "create",
};
