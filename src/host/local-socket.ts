import { closeSync, openSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { HostError } from "../errors.ts";

/** Longer ones don't fit in an address of macOS; Linux takes 107 bytes. */
const LONGEST_PATH_BYTES = 103;

/** Listens at a path that only this user can reach; what was left there is removed. Does not keep the event loop alive. */
export async function listenAt(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  await rm(path, { force: true });
  const server = createServer(onConnection);
  await withShortPath(path, (short) => {
    return new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: short }, resolve);
    });
  });
  server.unref();
  await chmod(path, 0o600);
  return server;
}

/** A connection to whoever listens there; rejects with the system's error where nobody does. */
export function connectTo(path: string): Promise<Socket> {
  return withShortPath(path, (short) => {
    return new Promise<Socket>((resolve, reject) => {
      const socket = connect({ path: short });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(socket);
      });
    });
  });
}

/** On Linux a folder that is open has a short name, however deep it lies. */
async function withShortPath<T>(path: string, use: (short: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= LONGEST_PATH_BYTES) return use(path);
  if (process.platform !== "linux") {
    throw new HostError(
      `The socket ${path} can't be used: its path has more than ${LONGEST_PATH_BYTES} bytes.`,
      {
        remediation: "Set SMOLVM_HOME to a shorter path.",
      },
    );
  }
  const folder = openSync(dirname(path), "r");
  try {
    return await use(`/proc/self/fd/${folder}/${basename(path)}`);
  } finally {
    closeSync(folder);
  }
}
