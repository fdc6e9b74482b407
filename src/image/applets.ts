import { ImageError } from "../errors.ts";

/** Busybox keeps the names of its applets in one sorted run of zero-terminated words, of which these are the first. */
const FIRST_NAMES = Buffer.from("[\0[[\0", "latin1");

/** The names under which a busybox program can be called. */
export function listApplets(busybox: Buffer): string[] {
  for (
    let start = busybox.indexOf(FIRST_NAMES);
    start >= 0;
    start = busybox.indexOf(FIRST_NAMES, start + 1)
  ) {
    const end = busybox.indexOf("\0\0", start, "latin1");
    const names = busybox.toString("latin1", start, end).split("\0");
    const isList =
      names.includes("sh") && names.includes("cat") && names.every((name) => /^[\w[.-]+$/.test(name));
    if (isList) return names;
  }
  throw new ImageError("The applets of busybox can't be told from its program file.");
}
