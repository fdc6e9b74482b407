import type { MachineInfo } from "../api.ts";
import type { CommandSpec } from "../command.ts";
import { tallyOutcome, tryEach } from "../each.ts";
import { withMachine } from "../open-machine.ts";
import { formatBytes, formatDuration, formatFields, formatMib } from "../text.ts";

export const inspect: CommandSpec = {
  summary: "show all that is known of machines",
  operands: [["<names...>", "the machines", "machine"]],
  examples: [
    ["smolvm inspect web", "its state, its figures, what its boot went through"],
    ["smolvm inspect web --json | jq '.machines[0].memoryBytes'", "for programs: what it takes of this host"],
  ],
  async act(names, _flags, context) {
    const tally = await tryEach(names, context, (name) => withMachine(name, context, (vm) => vm.info()));
    return tallyOutcome(tally, { machines: tally.done }, tally.done.map(formatMachine).join("\n\n"));
  },
};

function formatMachine(machine: MachineInfo): string {
  const fields: [name: string, value: unknown][] = [
    ["name", machine.name],
    ["id", machine.id],
    ["status", machine.statusReason === null ? machine.status : `${machine.status}: ${machine.statusReason}`],
    ["kind", machine.persistent ? "persistent" : "ephemeral"],
    ["image", machine.image],
    ["memory", withUse(machine.memSizeMib, machine.memoryBytes)],
    ["cpus", machine.vcpuCount || null],
    ["cpu time", machine.cpuSeconds === null ? null : `${machine.cpuSeconds.toFixed(1)} s`],
    ["disk", withUse(machine.diskSizeMib, machine.diskBytes)],
    ["network", machine.network],
    ["labels", formatLabels(machine.labels)],
    ["created", machine.createdAt],
    ["started", machine.startedAt],
    ["uptime", formatSeconds(machine.uptimeSeconds)],
    ["ttl", formatSeconds(machine.ttlSeconds)],
    ["idle timeout", formatSeconds(machine.idleTimeoutSeconds)],
    ["owner's pid", machine.ownerPid],
    ["pid", machine.pid],
    ["ssh port", machine.sshPort],
    ["folder", machine.folder],
    ["boot", formatBoot(machine.boot)],
  ];
  return formatFields(fields.filter(([, value]) => value !== null && value !== ""));
}

/** Null where the machine's record can't be read. */
function withUse(mib: number, bytes: number | null): string | null {
  if (mib === 0) return null;
  return bytes === null ? formatMib(mib) : `${formatMib(mib)}, ${formatBytes(bytes)} taken of this host`;
}

function formatSeconds(seconds: number | null): string | null {
  return seconds === null ? null : formatDuration(seconds);
}

function formatLabels(labels: MachineInfo["labels"]): string | null {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? null : pairs.join(", ");
}

function formatBoot(boot: MachineInfo["boot"]): string | null {
  if (!boot) return null;
  const phases = boot.phases.map(({ name, ms }) => `${name} ${Math.round(ms)} ms`);
  const why = boot.wayReason === "" ? "" : ` (${boot.wayReason})`;
  return `${boot.way}${why}, ${boot.accelerator}: ${phases.join(", ")}`;
}
