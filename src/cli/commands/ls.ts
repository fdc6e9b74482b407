import type { MachineInfo } from "../api.ts";
import type { CommandSpec } from "../command.ts";
import { type Filter, matchesFilters, parseFilter } from "../filter.ts";
import { formatBytes, formatDuration, formatMib, formatNames, formatTable } from "../text.ts";

interface LsFlags {
  readonly all?: boolean;
  readonly quiet?: boolean;
  readonly filter?: readonly Filter[];
}

export const ls: CommandSpec<LsFlags> = {
  summary: "list machines",
  flags: [
    { flags: "-a, --all", description: "also machines that are stopped" },
    { flags: "-q, --quiet", description: "names only" },
    {
      flags: "--filter <what>",
      description: "label=KEY, label=KEY=VALUE, status=STATUS or name=GLOB; may be repeated",
      parse: parseFilter,
    },
  ],
  examples: [
    ["smolvm ls", "the machines that run, or are in error"],
    ["smolvm ls -a --filter label=job=42 --filter 'name=ci-*'", "by label and name, stopped ones too"],
    ["smolvm ls -q --filter status=stopped", "names only, for other commands"],
    ["smolvm ls --json | jq -r '.machines[].sshPort'", "for programs"],
  ],
  notes: `A machine must have all labels that are given, and one of the statuses or names. With status=STATUS, -a is not needed.`,
  async act(_operands, { all = false, quiet = false, filter = [] }, { api }) {
    const asksForStatus = filter.some(({ kind }) => kind === "status");
    const machines = (await api.SmolVM.list()).filter(
      (machine) => (all || asksForStatus || isThere(machine)) && matchesFilters(machine, filter),
    );
    const text = quiet ? formatNames(machines.map(({ name }) => name)) : formatMachines(machines);
    return { document: { machines }, text };
  },
};

function isThere({ status }: MachineInfo): boolean {
  return status !== "stopped" && status !== "created";
}

const HEAD = ["NAME", "STATUS", "IMAGE", "MEMORY", "CPUS", "UPTIME", "DISK", "KIND"];

/** Why a machine is in error, or was stopped by itself, is in a column of its own, where there is such a machine. */
function formatMachines(machines: readonly MachineInfo[]): string {
  const hasReason = machines.some(({ statusReason }) => statusReason !== null);
  const rows = machines.map((machine) => [
    machine.name,
    machine.status,
    machine.image ?? "-",
    // Of a machine whose record can't be read nothing is known.
    machine.memSizeMib > 0 ? formatMib(machine.memSizeMib) : "-",
    machine.vcpuCount > 0 ? String(machine.vcpuCount) : "-",
    machine.uptimeSeconds === null ? "-" : formatDuration(machine.uptimeSeconds),
    formatBytes(machine.diskBytes),
    machine.persistent ? "persistent" : "ephemeral",
    ...(hasReason ? [machine.statusReason ?? ""] : []),
  ]);
  return formatTable(hasReason ? [...HEAD, "REASON"] : HEAD, rows);
}
