import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CommandRunner, createCommandRunner } from "../../src/ssh/command/command-runner.ts";
import { ensureClientKey } from "../../src/ssh/openssh/keys.ts";

const PROGRAM = fileURLToPath(new URL("flood-server.mjs", import.meta.url));

/** A guest that keeps no bound, in a process of its own: what it sends costs this one only what is kept of it. */
export interface FloodGuest {
  readonly runner: CommandRunner;
  /** How often it was connected to. */
  countConnections(): Promise<number>;
  close(): Promise<void>;
}

export async function startFloodGuest(kind: string): Promise<FloodGuest> {
  const folder = mkdtempSync(join(tmpdir(), "smolvm-flood-"));
  const makeKey = (name: string) =>
    ensureClientKey({ clientKey: join(folder, name), clientKeyPublic: join(folder, `${name}.pub`) });
  const [clientKey, serverKey] = [await makeKey("c"), await makeKey("s")];
  const child = spawn(process.execPath, [PROGRAM, folder, kind], { stdio: ["pipe", "pipe", "inherit"] });
  const port = await nextNumber(child);
  const runner = createCommandRunner({
    vm: { id: "vm-flood", name: "flood" },
    died: new Promise(() => {}),
    target: async () => ({
      ...{ host: "127.0.0.1", port, user: "root", privateKey: clientKey.privateKey },
      hostKey: Buffer.from(serverKey.publicLine.split(" ")[1] ?? "", "base64"),
      emulated: false,
    }),
  });
  return {
    runner,
    countConnections() {
      child.stdin?.write("?");
      return nextNumber(child);
    },
    async close() {
      child.kill("SIGKILL");
      await once(child, "exit");
      await runner.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function nextNumber(child: ChildProcess): Promise<number> {
  const [line] = await once(child.stdout as NodeJS.EventEmitter, "data");
  return Number(String(line));
}
