import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { openSocketFolder } from "./socket-folder.ts";

export interface StateReceiver {
  /** QEMU connects to it and writes. */
  readonly socketPath: string;
  /** Resolves when everything that QEMU wrote is in the file. */
  readonly received: Promise<void>;
  /** Nobody can connect any more; nothing of the socket is left. Ends what is still under way. */
  close(): Promise<void>;
}

/** QEMU can't write a state to a file of its own accord before version 8.2, but to a socket: this is its other end. */
export async function listenForState(filePath: string): Promise<StateReceiver> {
  const folder = await openSocketFolder(dirname(filePath));
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
  received.catch(() => {}); // heard by the one that waits for it, if anybody still does
  server.listen(folder.socketPath);
  try {
    await once(server, "listening");
  } catch (error) {
    await folder.remove();
    throw error;
  }
  const close = async () => {
    if (server.listening) server.close();
    socket?.destroy();
    await folder.remove();
  };
  return { socketPath: folder.socketPath, received, close };
}
