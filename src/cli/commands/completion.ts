import { readFile } from "node:fs/promises";
import type { CommandSpec } from "../command.ts";
import { UsageError } from "../command.ts";

const SHELLS = ["bash", "zsh", "fish"];

export const completion: CommandSpec = {
  summary: "print a script with which a shell completes smolvm's commands and names",
  operands: [["<shell>", "bash, zsh or fish", SHELLS]],
  examples: [
    [
      "smolvm completion bash > ~/.local/share/bash-completion/completions/smolvm",
      "bash with the package bash-completion, from the next shell on",
    ],
    ["source <(smolvm completion bash)", "bash without it, in ~/.bashrc"],
    [
      "smolvm completion zsh > ~/.zfunc/_smolvm",
      "zsh, where ~/.zshrc has: fpath+=~/.zfunc; autoload -U compinit; compinit",
    ],
    ["smolvm completion fish > ~/.config/fish/completions/smolvm.fish", "fish, at once"],
  ],
  async act([shell = ""]) {
    if (!SHELLS.includes(shell))
      throw new UsageError(`There is no completion for ${shell}: bash, zsh or fish.`);
    const script = await readFile(new URL(`../completion/smolvm.${shell}`, import.meta.url), "utf8");
    return { document: { shell, script }, text: script };
  },
};
