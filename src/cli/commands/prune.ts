import type { Api } from "../api.ts";
import type { CommandSpec } from "../command.ts";
import { STATUS } from "../failure.ts";
import { formatBytes, formatTable } from "../text.ts";

export const prune: CommandSpec<{ readonly dryRun?: boolean }> = {
  summary: "remove what killed programs left behind",
  description: `Remove what killed programs left behind: processes, disks, sockets, half-made templates and snapshots. Nothing that runs or
that was made to stay is touched.`,
  flags: [{ flags: "--dry-run", description: "only show what would be removed" }],
  examples: [
    ["smolvm prune --dry-run", "what is left behind, how big it is, and why nobody needs it"],
    ["smolvm prune --json | jq .freedBytes", "remove it; for programs: what that came to"],
  ],
  notes: "Exit status: 125 where something could not be removed.",
  async act(_operands, { dryRun = false }, { api, signal }) {
    const report = await api.prune({ dryRun, signal });
    const isDone = dryRun || report.items.every(({ removed }) => removed);
    return {
      status: isDone ? 0 : STATUS.failed,
      document: { dryRun, ...report },
      text: formatReport(report, dryRun),
    };
  },
};

type Report = Awaited<ReturnType<Api["prune"]>>;

function formatReport({ items, freedBytes }: Report, dryRun: boolean): string {
  if (items.length === 0) return "Nothing is left behind.";
  const rows = items.map(({ kind, name, sizeBytes, reason, removed }) => [
    kind,
    name,
    formatBytes(sizeBytes),
    dryRun || removed ? reason : `${reason}; could not be removed`,
  ]);
  const total = `${formatBytes(freedBytes)} ${dryRun ? "would be freed" : "freed"}.`;
  return `${formatTable(["KIND", "NAME", "SIZE", "REASON"], rows)}\n\n${total}`;
}
