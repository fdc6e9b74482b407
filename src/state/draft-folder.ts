import { createHash } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { basename, join } from "node:path";
import { HostError } from "../errors.ts";
import { findProcess, type ProcessIdentity } from "../host/process-identity.ts";

const PREFIX = ".draft-";

/** An empty folder for something in the making. Its name tells who makes it, so that there is no moment at which it is nobody's. */
export async function makeDraftFolder(parent: string): Promise<string> {
  const self = await findProcess(process.pid);
  if (!self) throw new HostError("This process can't be found in the host's process table.");
  return mkdtemp(join(parent, `${PREFIX}${tagOf(self)}-`));
}

/** Whether a folder is such a one. */
export function isDraftFolder(path: string): boolean {
  return basename(path).startsWith(PREFIX);
}

/** Whether its maker is gone, so that nobody will ever finish it. */
export async function isDraftAbandoned(path: string): Promise<boolean> {
  const match = /^\.draft-((\d+)-[0-9a-f]+)-[^-]+$/.exec(basename(path));
  if (!match) return true;
  const now = await findProcess(Number(match[2]));
  return now === undefined || tagOf(now) !== match[1];
}

/** A process for good, short enough for a folder that holds sockets. */
function tagOf({ pid, startedAt, bootId }: ProcessIdentity): string {
  const digest = createHash("sha256").update(`${startedAt} ${bootId}`).digest("hex");
  return `${pid}-${digest.slice(0, 12)}`;
}
