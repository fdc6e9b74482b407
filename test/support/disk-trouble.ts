import { type FileHandle, open, stat } from "node:fs/promises";
import { vi } from "vitest";

/** From now on, the host's disk does not take the names in that folder (EIO). Gives back how often that was asked. */
export async function breakSyncsOf(folder: string): Promise<() => number> {
  const some = await open("/dev/null", "r");
  const handles: Pick<FileHandle, "sync"> = Object.getPrototypeOf(some);
  await some.close();
  const { sync } = handles;
  let count = 0;
  vi.spyOn(handles, "sync").mockImplementation(async function (this: FileHandle) {
    if ((await this.stat()).ino !== (await stat(folder)).ino) return sync.call(this);
    count++;
    throw Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });
  });
  return () => count;
}
