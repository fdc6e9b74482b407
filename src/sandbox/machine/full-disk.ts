import { statfs } from "node:fs/promises";
import { statePaths } from "../../state/paths.ts";

/** Less than a record takes. */
const FULL_BYTES = 64 * 1024;

/** To go behind what nobody has written down the reason of; "" where there is room for it. */
export async function whyUnwritten(): Promise<string> {
  const { home } = statePaths();
  const room = await statfs(home).catch(() => null);
  if (room === null || room.bavail * room.bsize >= FULL_BYTES) return "";
  return `; the disk of ${home} is full, which may be why: free some of it`;
}
