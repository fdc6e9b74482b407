import { lstatSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { SmolVMError } from "../errors.ts";
import { quoteText } from "../util/quote.ts";

/**
 * What stands at the path of a file is none: a fifo, whose opening would wait for a writer, a device, which never ends, a folder, or a link
 * that leads to itself. Or it has more than such a file ever has. So it is known to be bad without reading it.
 */
export class NoFileError extends SmolVMError {
  readonly path: string;
  /** What is wrong, to go after "it". */
  readonly problem: string;
  /** The command that takes it away. */
  readonly removal: string;

  constructor(path: string, problem: string, { isFolder = false }: { readonly isFolder?: boolean } = {}) {
    super("STATE", `${path} ${problem}`, {
      remediation: `Look at it, and put the right file there or remove it: ls -ld ${quoteText(path)}`,
      details: { path },
    });
    this.name = "SmolVMError"; // what callers know it as
    this.path = path;
    this.problem = problem;
    this.removal = `${isFolder ? "rm -r" : "rm"} ${quoteText(path)}`;
  }
}

/** What the system says of a socket, of a fifo that nobody reads from, and of a folder that is to be written to. */
const NO_FILE: ReadonlySet<unknown> = new Set(["ENXIO", "EISDIR"]);

/** What the system would not open is known to be no file, or may be one. */
export function explainNoFile(path: string, error: unknown): unknown {
  if (NO_FILE.has(wordOf(error))) return noFile(path, statSync(path));
  if (wordOf(error) !== "ELOOP") return error;
  if (isLink(path)) return new NoFileError(path, "is a link that leads to itself, and no file");
  const folder = dirname(path);
  return isLink(folder) ? new NoFileError(folder, "is a link that leads to itself, and no folder") : error;
}

/** Whether a link stands at that path itself, not above it. */
export function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

/** The highest part of a path that is there and is no folder. */
export function findNoFolder(path: string): string | undefined {
  const parent = dirname(path);
  const above = parent === path ? undefined : findNoFolder(parent);
  if (above !== undefined) return above;
  const found = statOrNull(path);
  return (found === null ? isLink(path) : !found.isDirectory()) ? path : undefined;
}

function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

export function noFile(path: string, found: Stats): NoFileError {
  return new NoFileError(path, `is ${kindOf(found)}, and no file`, { isFolder: found.isDirectory() });
}

function kindOf(found: Stats): string {
  if (found.isFIFO()) return "a fifo";
  if (found.isSocket()) return "a socket";
  return found.isDirectory() ? "a folder" : "a device";
}

function wordOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code;
}
