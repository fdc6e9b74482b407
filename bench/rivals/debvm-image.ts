import { createHash } from "node:crypto";
import { access, chmod, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { captureOutput } from "../processes.ts";
import { debianMirror } from "./apt-mirror.ts";

/** The release our own image is made of. */
const RELEASE = "trixie";
const CREATE_TIMEOUT_MS = 30 * 60_000;

/** The image that debvm boots, made by its own tool on first use: about a minute with a near mirror. */
export async function ensureDebvmImage(
  cache: string,
  keyPath: string,
  say: (text: string) => void,
): Promise<string> {
  const publicKey = await readFile(`${keyPath}.pub`, "utf8");
  const digest = createHash("sha256").update(`${RELEASE}\n${publicKey}`).digest("hex").slice(0, 12);
  const image = join(cache, `debvm-${RELEASE}-${digest}.ext4`);
  if (await exists(image)) return image;
  say(`making debvm's image of Debian ${RELEASE} (kept in ${cache})`);
  const unfinished = `${image}.${process.pid}`;
  const create = ["debvm-create", "--release", RELEASE, "--sshkey", `${keyPath}.pub`, "--output", unfinished];
  try {
    await captureOutput([...create, "--size", "2G", "--", await debianMirror()], {
      timeoutMs: CREATE_TIMEOUT_MS,
    });
    // debvm-run reads it as another user, whatever this one's umask.
    await chmod(unfinished, 0o644);
    await rename(unfinished, image);
  } finally {
    await rm(unfinished, { force: true });
  }
  return image;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
