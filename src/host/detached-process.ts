import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { HostError } from "../errors.ts";
import { openToAppend } from "./read-file.ts";

export interface DetachedOptions {
  readonly env: NodeJS.ProcessEnv;
  /** What it prints, and why it broke off, is added to this file. */
  readonly outputPath: string;
}

/** A process that outlives this one, and a socket to it, which it finds as its fd 3. */
export interface DetachedProcess {
  readonly pid: number;
  readonly channel: Socket;
}

/** In a session of its own: no terminal's Ctrl-C reaches it. Neither it nor the socket keeps this process's event loop alive. */
export async function spawnDetached(
  argv: readonly [string, ...string[]],
  { env, outputPath }: DetachedOptions,
): Promise<DetachedProcess> {
  const [file, ...args] = argv;
  const output = openToAppend(outputPath);
  try {
    const child = spawn(file, args, {
      cwd: "/", // so that no folder is kept busy
      detached: true,
      env,
      stdio: ["ignore", output, output, "pipe"],
    });
    await once(child, "spawn").catch((error: Error) => {
      throw new HostError(`${file} can't be started on this host: ${error.message}.`, { cause: error });
    });
    child.unref();
    const channel: unknown = child.stdio[3];
    if (!(channel instanceof Socket) || child.pid === undefined)
      throw new HostError(`${file} was started without its socket.`);
    channel.unref();
    return { pid: child.pid, channel };
  } finally {
    closeSync(output);
  }
}
