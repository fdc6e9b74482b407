import { createHash } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Judged, listLeft } from "../host/names-in.ts";
import { here } from "../host/place.ts";
import {
  ALIVE,
  findProcess,
  findSelf,
  judgeProcess,
  type ProcessIdentity,
  unknown,
  type Verdict,
} from "../host/process-identity.ts";
import { discardFolder } from "../host/whole-folder.ts";
import { judgeEarlierDraft } from "./earlier-drafts.ts";

const PREFIX = ".draft-";
const RETRY_PAUSES_MS = [50, 500, 5_000, 60_000, 600_000];

/** An empty folder for something in the making. Its name tells who makes it, so that there is no moment at which it is nobody's. */
export async function makeDraftFolder(parent: string): Promise<string> {
  return mkdtemp(join(parent, `${PREFIX}${tagOf(await findSelf())}-`));
}

/**
 * Nobody wants it any more. Where it can't be removed now, as on a full disk, that is tried again in the background: as long as this process
 * lives, nobody else takes it for left. Never rejects.
 */
export async function discardDraftFolder(folder: string): Promise<void> {
  await discardFolder(folder).catch(() => void discardLater(folder));
}

async function discardLater(folder: string): Promise<void> {
  for (const pauseMs of RETRY_PAUSES_MS) {
    await sleep(pauseMs, undefined, { ref: false });
    const isGone = await discardFolder(folder).then(
      () => true,
      () => false,
    );
    if (isGone) return;
  }
}

/** The folders of what makers and removers left that died, or may have. */
export async function listLeftIn(parent: string): Promise<readonly Judged[]> {
  const judge = (name: string) => (name.startsWith(PREFIX) ? judgeDraft(parent, name) : ALIVE);
  return listLeft(parent, judge);
}

/** Whether its maker lives: where that one is dead, nobody will ever finish it. */
async function judgeDraft(parent: string, name: string): Promise<Verdict> {
  const [pid, ...told] = /^\.draft-(\d+)-((?:[0-9a-f]{6}-){4})[^-]+$/.exec(name)?.slice(1) ?? [];
  const [startedAt, bootId, namespaces, host] = (told[0] ?? "").split("-");
  try {
    if (pid === undefined) return await judgeEarlierDraft(join(parent, name));
    const place = here();
    const now = await findProcess(Number(pid));
    return await judgeProcess({
      pid: Number(pid),
      startedAt: unshorten(startedAt, now?.startedAt ?? ""),
      bootId: unshorten(bootId, place.bootId),
      namespaces: unshorten(namespaces, place.namespaces),
      host: unshorten(host, place.host),
    });
  } catch (error) {
    return unknown((error as Error).message);
  }
}

/** A process for good, short enough for a folder that holds sockets. */
function tagOf({ pid, startedAt, bootId, namespaces, host }: ProcessIdentity): string {
  return [pid, ...[startedAt, bootId, namespaces, host].map(shorten)].join("-");
}

function shorten(text = ""): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 6);
}

/** What was shortened to that: what is so here, or nothing, or something else. */
function unshorten(short = "", here: string): string {
  return [here, ""].find((each) => shorten(each) === short) ?? "another";
}
