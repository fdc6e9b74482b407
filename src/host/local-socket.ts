import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type BigIntStats, chmodSync, closeSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { HostError } from "../errors.ts";
import { quoteText } from "../util/quote.ts";
import { namesIn } from "./names-in.ts";
import { isLink } from "./no-file.ts";
import { codeOf, FOLDER_TO_READ, isMissing } from "./whole-file.ts";

/** Longer ones don't fit in an address of macOS. */
const LONGEST_PATH_BYTES = 103;

/**
 * Listens at a path that only this user can reach; it takes the place of what was left there. Somebody listens from the first moment
 * at which it stands at that path: where it refuses, the one who made it has closed it, or is dead. Does not keep the event loop
 * alive. Closing it removes the socket that was made here, never one that stands at the same path by then.
 */
export async function listenAt(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer(onConnection);
  const { short, release } = openAddress(path);
  const draft = `${short}.${randomBytes(3).toString("hex")}`; // a lock's, left by one who was killed now, is swept with the lock's others
  let made: string;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: draft }, resolve);
    });
    chmodSync(draft, 0o600);
    made = identify(statSync(draft, { bigint: true }));
    renameSync(draft, short);
  } catch (error) {
    server.close();
    release();
    throw codeOf(error) === "EISDIR" ? noSocket(path) : error;
  }
  server.once("close", () => {
    // Until now the address must lead to the same folder, whatever that is called by now.
    const found = statSync(short, { bigint: true, throwIfNoEntry: false });
    if (found && identify(found) === made) rmSync(short, { force: true });
    release();
  });
  server.unref();
  return server;
}

function noSocket(path: string): HostError {
  return new HostError(`${path} is a folder, where a socket has to be.`, {
    remediation: `Look at it, and remove it: rm -r ${quoteText(path)}`,
    details: { path },
  });
}

/** What `listenAt` makes a socket by, until it stands at its path. */
const DRAFT = /^\.[0-9a-f]{6}$/;

/** Sockets that were to stand at that path, whose makers died before. Only for a caller that knows that nobody is at it now. */
export async function listDeadDrafts(path: string): Promise<string[]> {
  const name = basename(path);
  const folder = dirname(path);
  const all = await namesIn(folder).catch((error) => {
    if (isMissing(error) || (codeOf(error) === "ELOOP" && isLink(folder))) return [];
    throw error;
  });
  const names = all.filter((each) => each.startsWith(name));
  const drafts = names
    .filter((each) => DRAFT.test(each.slice(name.length)))
    .map((each) => join(dirname(path), each));
  const states = await Promise.all(
    drafts.map(async (draft) => probeSocket(draft, await identifySocket(draft).catch(() => ""))),
  );
  return drafts.filter((_, index) => states[index] === "refused");
}

/** A connection to what listens there; rejects with the system's error where nobody does. */
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

/** The very socket that stands there: the same path may lead to another one, or to the same one by another file system. */
export async function identifySocket(path: string): Promise<string> {
  return identify(await stat(path, { bigint: true }));
}

/** The very file that was looked at, as `identifySocket` tells it. */
export function identify({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

/**
 * "listened": somebody does, in whatever namespace, awake or not. "refused": this host's kernel knows that nobody does at this very
 * socket. "unclear": anything else, such as one that is gone, may be nobody's or out of sight.
 */
export async function probeSocket(
  path: string,
  socket: string | undefined,
): Promise<"listened" | "refused" | "unclear"> {
  try {
    (await connectTo(path)).destroy();
    return "listened";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN") return "listened"; // and has not come to those who wait
    const isThat = socket !== undefined && (await identifySocket(path).catch(() => "")) === socket;
    return code === "ECONNREFUSED" && isThat ? "refused" : "unclear";
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
    const folder = openSync(dirname(path), FOLDER_TO_READ);
    return { short: `/proc/self/fd/${folder}/${basename(path)}`, release: () => closeSync(folder) };
  }
  if (Buffer.byteLength(path) <= LONGEST_PATH_BYTES) return { short: path, release: () => {} };
  throw new HostError(
    `The socket ${path} can't be used: its path has more than ${LONGEST_PATH_BYTES} bytes.`,
    { remediation: "Set SMOLVM_HOME to a shorter path." },
  );
}
