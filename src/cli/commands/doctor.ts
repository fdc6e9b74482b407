import { tameLine } from "../../util/tame.ts";
import type { CommandSpec, Context } from "../command.ts";
import { STATUS } from "../failure.ts";

export const doctor: CommandSpec = {
  summary: "check this host: QEMU, acceleration, images, disk space",
  examples: [
    ["smolvm doctor", "what works here, and the command that mends what does not"],
    ["smolvm doctor --json | jq '.checks[] | select(.ok | not)'", "for programs: what is wrong"],
  ],
  notes: "Exit status: 0 where machines can run here, 125 where not.",
  async act(_operands, _flags, { api }) {
    const report = await api.doctor();
    return { status: report.ok ? 0 : STATUS.failed, document: report, text: formatReport(report) };
  },
};

type Report = Awaited<ReturnType<Context["api"]["doctor"]>>;

function formatReport({ ok, checks }: Report): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, ok, detail, remediation }) => {
    const line = `${ok ? "ok" : "--"}  ${name.padEnd(width)}  ${tameLine(detail)}`;
    return remediation === undefined ? line : `${line}\n    ${" ".repeat(width)}  ${tameLine(remediation)}`;
  });
  return [...lines, "", ok ? "Machines can run here." : "Machines can't run here yet."].join("\n");
}
