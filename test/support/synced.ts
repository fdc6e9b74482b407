import { existsSync, readlinkSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { expect, vi } from "vitest";

/** What the host's disk was told to take, in order. */
export interface Synced {
  /** By its path at that moment. */
  readonly path: string;
  /** Whether the file in question had its name by then. */
  readonly wasNamed: boolean;
}

/** From now on, until `vi.restoreAllMocks()`: every file and folder that is synced, and whether there was a file at `path` by then. */
export async function watchSyncs(path: string): Promise<Synced[]> {
  const some = await open("/dev/null", "r");
  const handles: Pick<FileHandle, "sync"> = Object.getPrototypeOf(some);
  await some.close();
  const { sync } = handles;
  const synced: Synced[] = [];
  vi.spyOn(handles, "sync").mockImplementation(async function (this: FileHandle) {
    synced.push({ path: readlinkSync(`/proc/self/fd/${this.fd}`), wasNamed: existsSync(path) });
    return sync.call(this);
  });
  return synced;
}

/** A file whose content was synced before it had its name, and its name after. */
export function durably(path: string): Synced[] {
  const draft = expect.stringMatching(new RegExp(`/${basename(path).replaceAll(".", "\\.")}\\.[^/]+$`));
  return [
    { path: draft, wasNamed: false },
    { path: path.slice(0, path.lastIndexOf("/")), wasNamed: true },
  ];
}
