import type { Api } from "../api.ts";
import type { CommandSpec } from "../command.ts";
import { STATUS } from "../failure.ts";
import { formatBytes, formatTable } from "../text.ts";

export const prune: CommandSpec<{ readonly dryRun?: boolean }> = {
  summary: "remove what nobody needs any more",
  description: `Remove what nobody needs any more: machines, processes and half-made files that killed programs left behind, and templates that nobody has used for long.

Nothing that runs or that was made to stay is touched. What may belong to a program of another container or host is left, and named.`,
  flags: [{ flags: "--dry-run", description: "only show what would be removed" }],
  examples: [
    ["smolvm prune --dry-run", "what is left behind, how big it is, and why nobody needs it"],
    ["smolvm prune --json | jq .freedBytes", "removes it; for programs: how many bytes that freed"],
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
  const gone = items.filter(({ error, left }) => error === null && !left);
  const bytes = gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const total = `${formatBytes(bytes)} ${dryRun ? "would be freed" : "freed"}.`;
  return `${formatTable(["KIND", "NAME", "SIZE", "REASON"], rows)}\n\n${total}`;
}
