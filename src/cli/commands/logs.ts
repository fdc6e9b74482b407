import { type CommandSpec, UsageError } from "../command.ts";
import { write } from "../io.ts";
import { withMachine } from "../open-machine.ts";
import { tameLogLine } from "../text.ts";
import { parseCount } from "../values.ts";

interface LogsFlags {
  readonly follow?: boolean;
  readonly tail?: number;
  readonly source?: "console" | "qemu";
}

export const logs: CommandSpec<LogsFlags> = {
  summary: "show what a machine's console or QEMU said",
  operands: [["<name>", "the machine", "machine"]],
  flags: [
    { flags: "-f, --follow", description: "go on with what comes, until Ctrl-C" },
    {
      flags: "--tail <count>",
      description: "only that many of the last lines (default: all)",
      parse: parseCount,
    },
    {
      flags: "--source <which>",
      description:
        "console: what the guest's kernel and services print; qemu: QEMU's own words (default: console)",
      choices: ["console", "qemu"],
    },
  ],
  examples: [
    ["smolvm logs --tail 20 web", "the end of its console"],
    ["smolvm logs -f web", "as it comes"],
    ["smolvm logs --source qemu web", "why QEMU ended"],
  ],
  async act([name = ""], flags, context) {
    const { io, json, signal } = context;
    if (json && flags.follow)
      throw new UsageError("--json is one document at the end, which --follow does not have. Leave one out.");
    const format = io.stdout.isTTY ? tameLogLine : (line: string) => line;
    const lines: string[] = [];
    await withMachine(name, context, async (vm) => {
      for await (const line of vm.logs({ ...flags, signal })) {
        if (json) lines.push(line);
        else await write(io.stdout, Buffer.from(`${format(line)}\n`), signal);
      }
    });
    return { document: { source: flags.source ?? "console", lines }, text: "" };
  },
};
