import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";

export interface StateReceiver {
  /** QEMU connects to it and writes. */
  readonly socketPath: string;
  /** Resolves when everything that QEMU wrote is in the file. */
  readonly received: Promise<void>;
  /** Nobody can connect any more; nothing of the socket is left. Ends what is still under way. */
  close(): Promise<void>;
}

/** The shortest limit of any host's socket paths is 104 bytes, a closing zero included. */
const LONGEST_SOCKET_PATH_BYTES = 103;
export const SOCKET_NAME = "s";

/** QEMU can't write a state to a file of its own accord before version 8.2, but to a socket: this is its other end. */
export async function listenForState(filePath: string): Promise<StateReceiver> {
  const folder = await makeSocketFolder(dirname(filePath));
  const server = createServer();
  let socket: Socket | undefined;
  const received = new Promise<void>((resolve, reject) => {
    server.once("connection", (connected) => {
      socket = connected;
      server.close();
      pipeline(connected, createWriteStream(filePath, { mode: 0o600 })).then(() => {
        if (connected.bytesRead > 0) resolve();
        else reject(new Error("QEMU wrote nothing"));
      }, reject);
    });
  });
  received.catch(() => {}); // heard by whoever waits for it, if anybody still does
  server.listen(join(folder, SOCKET_NAME));
  try {
    await once(server, "listening");
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const close = async () => {
    if (server.listening) server.close();
    socket?.destroy();
    await rm(folder, { recursive: true, force: true });
  };
  return { socketPath: join(folder, SOCKET_NAME), received, close };
}

/** Beside the file, where whoever cleans up after a crash finds it; elsewhere only where that path is too long for a socket. */
export async function makeSocketFolder(folder: string): Promise<string> {
  const parents = [folder, tmpdir(), "/tmp"];
  const fits = (parent: string) =>
    Buffer.byteLength(join(parent, ".smolvm-XXXXXX", SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES;
  return mkdtemp(join(parents.find(fits) ?? "/tmp", ".smolvm-"));
}
