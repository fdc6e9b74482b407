const FULL = new Set(["ENOSPC", "EDQUOT"]);
const FORBIDDEN = new Set(["EACCES", "EPERM", "EROFS"]);
const FEW_FILES = new Set(["EMFILE", "ENFILE"]);
const FEW_REST = new Set(["ENOMEM", "EAGAIN"]);

export function isFull(code: unknown): boolean {
  return FULL.has(String(code));
}

/** The host has run out of something, for a moment. */
export function isShortage(code: unknown): boolean {
  const word = String(code);
  return FEW_FILES.has(word) || FEW_REST.has(word);
}

/** What helps where the system refused something in the state folder, by its word for that. */
export function remedyForHost(code: unknown): string {
  const word = String(code);
  const home = "the state folder (SMOLVM_HOME, else ~/.smolvm)";
  if (FULL.has(word))
    return `Free space on the disk of ${home}, for example with: smolvm prune; or set SMOLVM_HOME to a folder on another disk.`;
  if (FORBIDDEN.has(word))
    return `Let this user write to ${home}, or set SMOLVM_HOME to a folder that it may write to.`;
  if (FEW_FILES.has(word))
    return "Let this program open more files: ulimit -n 65536; or let it have fewer machines at a time.";
  if (FEW_REST.has(word)) return "Let this user have more processes or memory: ulimit -a shows the limits.";
  return `Check that ${home} is a folder of this user's, and that its disk is well.`;
}
