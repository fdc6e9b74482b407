import type { Api } from "../api.ts";
import type { CommandSpec } from "../command.ts";
import { STATUS } from "../failure.ts";
import { formatBytes, formatTable } from "../text.ts";

export const prune: CommandSpec<{ readonly dryRun?: boolean }> = {
  summary: "remove what nobody needs any more",
  description: `Remove what nobody needs any more: machines, processes and half-made files that killed programs left behind, and worn templates.
Nothing that runs or that was made to stay is touched.`,
  flags: [{ flags: "--dry-run", description: "only show what would be removed" }],
  examples: [
    ["smolvm prune --dry-run", "what is left behind, how big it is, and why nobody needs it"],
    ["smolvm prune --json | jq .freedBytes", "remove it; for programs: what that came to"],
  ],
  notes: "Exit status: 0 where all of it is removed, 125 where something could not be.",
  async act(_operands, { dryRun = false }, { api, signal }) {
    const report = await api.prune({ dryRun, signal });
    const isWhole = report.items.every(({ error }) => error === null);
    return {
      status: isWhole ? 0 : STATUS.failed,
      document: { dryRun, ...report },
      text: formatReport(report.items, dryRun),
    };
  },
};

type Item = Awaited<ReturnType<Api["prune"]>>["items"][number];

function formatReport(items: readonly Item[], dryRun: boolean): string {
  if (items.length === 0) return "There is nothing that nobody needs.";
  const rows = items.map(({ kind, name, sizeBytes, reason, error }) => [
    ...[kind, name, formatBytes(sizeBytes)],
    error === null ? reason : `could not be removed: ${error}`,
  ]);
  const bytes = items.reduce((sum, { sizeBytes, error }) => sum + (error === null ? sizeBytes : 0), 0);
  const total = `${formatBytes(bytes)} ${dryRun ? "would be freed" : "freed"}.`;
  return `${formatTable(["KIND", "NAME", "SIZE", "REASON"], rows)}\n\n${total}`;
}
