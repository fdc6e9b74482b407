import { quoteText } from "../util/quote.ts";
import { findNoFolder } from "./no-file.ts";

const FULL = new Set(["ENOSPC", "EDQUOT"]);
const FORBIDDEN = new Set(["EACCES", "EPERM", "EROFS"]);
const FEW_FILES = new Set(["EMFILE", "ENFILE"]);
const FEW_REST = new Set(["ENOMEM", "EAGAIN"]);

/** A file, or a link that leads nowhere or to itself, has the place of a folder. */
const NO_FOLDER = new Set(["ENOTDIR", "EEXIST", "ELOOP"]);

export function isFull(code: unknown): boolean {
  return FULL.has(String(code));
}

/** The host has run out of something, for a moment. */
export function isShortage(code: unknown): boolean {
  const word = String(code);
  return FEW_FILES.has(word) || FEW_REST.has(word);
}

/** What helps where the system refused something in the state folder, by its word for that, and the path that it named. */
export function remedyForHost(code: unknown, path?: unknown): string {
  const word = String(code);
  const inTheWay = NO_FOLDER.has(word) && typeof path === "string" ? findNoFolder(path) : undefined;
  if (inTheWay !== undefined)
    return `${inTheWay} is no folder, and has to be one: look at it (ls -ld ${quoteText(inTheWay)}) and move it away, or set SMOLVM_HOME to another folder.`;
  const home = "the state folder (SMOLVM_HOME, else ~/.smolvm)";
  if (FULL.has(word))
    return `Free space on the disk of ${home}, for example with: smolvm prune, smolvm rm, smolvm snapshot rm; its folder cache/downloads can be removed too, as what is missing is fetched again. Or set SMOLVM_HOME to a folder on another disk.`;
  if (FORBIDDEN.has(word))
    return `Let this user write to ${home}, or set SMOLVM_HOME to a folder that it may write to.`;
  if (FEW_FILES.has(word))
    return "Let this program open more files: ulimit -n 65536; or let it have fewer machines at a time.";
  if (FEW_REST.has(word)) return "Let this user have more processes or memory: ulimit -a shows the limits.";
  if (word === "EIO") return `Check the disk of ${home}, and that it has space left: df -h; dmesg.`;
  return `Check that ${home} is a folder of this user's, and that its disk is well.`;
}
