// Ordinary ssh and scp: strings that can be pasted into a shell, with the machine's host key pinned.
import { execSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();
const keyPath = join(process.env.SMOLVM_HOME || join(homedir(), ".smolvm"), "keys", "id_ed25519");
const commands = vm.sshCommands({ sshUser: "root", keyPath });

const paste = (line: string) => execSync(line, { encoding: "utf8" }).trim();
console.log(paste(`${commands.ssh} uname -s`));
