// Ordinary ssh and scp: lines ready to paste into a shell, with the machine's host key pinned.
import { execSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { SmolVM } from "smolvm";

await using vm = await SmolVM.create();
const keyPath = join(process.env.SMOLVM_HOME || join(homedir(), ".smolvm"), "keys", "id_ed25519");
const { ssh, scpToGuest } = vm.sshCommands({ sshUser: "root", keyPath });

const paste = (line: string) => execSync(line, { encoding: "utf8" }).trim();
console.log(paste(`${ssh} uname -s`));

const folder = mkdtempSync(join(tmpdir(), "smolvm-example-"));
const file = join(folder, "note.txt");
writeFileSync(file, "carried over by scp\n");
paste(scpToGuest.replace("SOURCE", file).replace("DESTINATION", "/root/note.txt"));
rmSync(folder, { recursive: true });
console.log((await vm.run("cat /root/note.txt")).output);
