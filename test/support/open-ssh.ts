import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { SmolVM } from "../../src/index.ts";

const TIMEOUT_MS = 60_000;

/** What a program of OpenSSH's says on stdout, with `ssh NAME` as ssh-config has it. */
export async function openSsh(vm: SmolVM, program: string, ...args: string[]): Promise<string> {
  return await openSshTold(vm, null, program, ...args);
}

/** The same, with that as its standard input; null: one without an end. */
export async function openSshTold(
  vm: SmolVM,
  input: string | null,
  program: string,
  ...args: string[]
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "smolvm-ssh-"));
  try {
    const config = join(folder, vm.name);
    writeFileSync(config, await vm.sshConfig());
    const run = promisify(execFile)(program, ["-F", config, ...args], { timeout: TIMEOUT_MS });
    if (input !== null) run.child.stdin?.end(input);
    return (await run).stdout.trim();
  } finally {
    rmSync(folder, { recursive: true });
  }
}
