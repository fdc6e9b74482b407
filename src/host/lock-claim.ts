import { randomBytes } from "node:crypto";
import { once } from "node:events";
import * as v from "valibot";
import { judgeHolder } from "./holder.ts";
import { identifySocket, listenAt } from "./local-socket.ts";
import {
  DEAD,
  findSelf,
  type ProcessIdentity,
  ProcessIdentitySchema,
  unknown,
  type Verdict,
} from "./process-identity.ts";

/** Who holds a lock, and whether that process lives. "dead": nobody holds it, whatever its file says. */
export interface Holding extends Verdict {
  readonly holder: ProcessIdentity | undefined;
}

/** What one who wants a lock writes into its file. */
export interface Claim {
  readonly content: string;
  /** It holds the lock no more, or does not get it. */
  withdraw(): Promise<void>;
}

const ClaimSchema = v.object({ ...ProcessIdentitySchema.entries, nonce: v.optional(v.string(), "") });

/** Two pieces of work in one process are two holders. The claim of one that is in another container is known by its socket. */
export async function makeClaim(path: string): Promise<Claim> {
  const self = await findSelf();
  const nonce = randomBytes(4).toString("hex");
  // Where none can be had, the process's id still tells most.
  const server = await (process.platform === "linux"
    ? listenAt(socketOf(path, nonce), (socket) => socket.destroy()).catch(() => null)
    : null);
  const socket = server && (await identifySocket(socketOf(path, nonce)).catch(() => null));
  const content = JSON.stringify({ ...self, nonce, ...(socket && { socket }) });
  const withdraw = async () => {
    if (server) await once(server.close(), "close");
  };
  return { content, withdraw };
}

/** Beside the lock, for as long as it is wanted or held. Short: a socket's address has no room for more. */
function socketOf(path: string, nonce: string): string {
  return `${path}.${nonce}`;
}

/** What a power failure leaves of a file that was not yet on the disk. */
const NEVER_WRITTEN = /^[\0\s]*$/;

/** Who holds a lock whose file says `text`. A file that a power failure has emptied is nobody's; any other text is somebody's. */
export async function judgeClaim(path: string, text: string): Promise<Holding> {
  if (NEVER_WRITTEN.test(text)) return { ...DEAD, holder: undefined };
  const claim = v.safeParse(v.pipe(v.string(), v.parseJson(), ClaimSchema), text);
  if (!claim.success) return { ...unknown("its file can't be understood"), holder: undefined };
  const { nonce, ...holder } = claim.output;
  return { ...(await judgeHolder(holder, socketOf(path, nonce))), holder };
}
