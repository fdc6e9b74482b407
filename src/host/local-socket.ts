import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { HostError } from "../errors.ts";

/** Longer ones don't fit in an address of macOS. */
const LONGEST_PATH_BYTES = 103;

/**
 * Listens at a path that only this user can reach; what was left there is removed. Does not keep the event loop alive. Closing it
 * removes the socket that was made here, never one that stands at the same path by then.
 */
export async function listenAt(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  await rm(path, { force: true });
  const server = createServer(onConnection);
  const { short, release } = openAddress(path);
  // Node unlinks the address as it closes the server: until then it must lead to the same folder.
  server.once("close", release);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: short }, resolve);
    });
  } catch (error) {
    server.off("close", release);
    release();
    throw error;
  }
  server.unref();
  await chmod(path, 0o600);
  return server;
}

/** A connection to whoever listens there; rejects with the system's error where nobody does. */
export async function connectTo(path: string): Promise<Socket> {
  const { short, release } = openAddress(path);
  const socket = connect({ path: short });
  try {
    await once(socket, "connect");
    return socket;
  } finally {
    release();
  }
}

interface Address {
  readonly short: string;
  /** To be called once the address is no longer used. */
  release(): void;
}

/** On Linux a folder that is open has a short name, however deep it lies, and whatever it is called meanwhile. */
function openAddress(path: string): Address {
  if (process.platform === "linux") {
    const folder = openSync(dirname(path), "r");
    return { short: `/proc/self/fd/${folder}/${basename(path)}`, release: () => closeSync(folder) };
  }
  if (Buffer.byteLength(path) <= LONGEST_PATH_BYTES) return { short: path, release: () => {} };
  throw new HostError(
    `The socket ${path} can't be used: its path has more than ${LONGEST_PATH_BYTES} bytes.`,
    { remediation: "Set SMOLVM_HOME to a shorter path." },
  );
}
