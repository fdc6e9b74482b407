import { mkdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeDraftFolder } from "../../src/state/draft-folder.ts";

/** A draft of somebody who had this process's id before it, here and since the host's last start. */
export async function leaveDraft(parent: string): Promise<string> {
  const own = await makeDraftFolder(parent);
  const [dot, pid, , ...place] = basename(own).split("-");
  const left = join(dirname(own), [dot, pid, "000000", ...place].join("-"));
  await rm(own, { recursive: true });
  await mkdir(left);
  return left;
}
