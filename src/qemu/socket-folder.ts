import { randomBytes } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FOLDER_TO_READ } from "../host/whole-file.ts";

/** Where one socket is for a while. */
export interface SocketFolder {
  /** For QEMU as well as for this process, and short enough. */
  readonly socketPath: string;
  remove(): Promise<void>;
}

/** The shortest limit of any host's socket paths is 104 bytes, a closing zero included. */
const LONGEST_SOCKET_PATH_BYTES = 103;
const PREFIX = ".smolvm-";

/**
 * Another one each time: QEMU removes the socket at which it listened later than it says that it has ended, and by its path. The short
 * name of an open folder may be another folder's by then.
 */
const socketName = () => randomBytes(4).toString("hex");

/**
 * In the given folder, where a clean-up after a crash finds it. However deep that lies: on Linux a folder that is open has a short
 * name, which QEMU can use too. Elsewhere a path that is too long for a socket makes it a temporary folder.
 */
export async function openSocketFolder(folder: string, platform = process.platform): Promise<SocketFolder> {
  if (fits(folder)) return plainFolder(await mkdtemp(join(folder, PREFIX)));
  return platform === "linux" ? openedFolder(folder) : temporaryFolder();
}

function fits(parent: string): boolean {
  return Buffer.byteLength(join(parent, `${PREFIX}XXXXXX`, socketName())) <= LONGEST_SOCKET_PATH_BYTES;
}

function plainFolder(path: string): SocketFolder {
  const remove = () => rm(path, { recursive: true, force: true });
  return { socketPath: join(path, socketName()), remove };
}

async function openedFolder(parent: string): Promise<SocketFolder> {
  const path = await mkdtemp(join(parent, PREFIX));
  const { remove } = plainFolder(path);
  try {
    const opened = await open(path, FOLDER_TO_READ);
    const close = () => opened.close().catch(() => {}); // a second time it is closed already
    return {
      socketPath: `/proc/${process.pid}/fd/${opened.fd}/${socketName()}`,
      remove: () => remove().finally(close),
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** TMPDIR may name a folder that is not there, or is too long as well. */
async function temporaryFolder(): Promise<SocketFolder> {
  const own = tmpdir();
  const first = fits(own) ? await mkdtemp(join(own, PREFIX)).catch(() => undefined) : undefined;
  return plainFolder(first ?? (await mkdtemp(join("/tmp", PREFIX))));
}
