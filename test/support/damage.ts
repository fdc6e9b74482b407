import { truncateSync } from "node:fs";
import { open, stat, utimes } from "node:fs/promises";

/** Changes one bit of a file. */
export async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 0x10]), 0, 1, at);
  await file.close();
}

export const DAMAGES: Readonly<Record<string, (path: string) => Promise<void>>> = {
  "cut short": async (path) => truncateSync(path, Math.floor((await stat(path)).size / 2)),
  "changed in one bit": async (path) => flip(path, Math.floor((await stat(path)).size / 3)),
  "changed in one bit, its times set back,": async (path) => {
    const { atime, mtime, size } = await stat(path);
    await flip(path, Math.floor(size / 3));
    await utimes(path, atime, mtime);
  },
};
