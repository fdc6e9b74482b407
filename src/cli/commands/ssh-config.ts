import type { CommandSpec } from "../command.ts";
import { withMachine } from "../open-machine.ts";

const HOW = `# Put the line below at the top of ~/.ssh/config, above every Host. Then ssh NAME, scp, sftp, rsync and
# editors reach each machine by its name, while it runs; no host key is ever asked about.`;

export const sshConfig: CommandSpec = {
  summary: "show how plain ssh, scp, rsync and editors reach machines by name",
  description: `Show how plain ssh, scp, rsync and editors reach machines by name.

Without a name: the one line for ~/.ssh/config that covers all machines, those to come too. With a name: the block of that one.`,
  operands: [["[name]", "the machine", "machine"]],
  examples: [
    ["smolvm ssh-config", "the line, and where it belongs"],
    ["smolvm ssh-config web > web.conf && scp -F web.conf notes.txt web:", "one machine, no setting touched"],
  ],
  async act([name], _flags, context) {
    if (name !== undefined) {
      const config = await withMachine(name, context, (vm) => vm.sshConfig());
      return { document: { config }, text: config };
    }
    const config = context.api.sshConfigInclude();
    return { document: { config }, text: `${HOW}\n${config}` };
  },
};
