import { appendFile, rm } from "node:fs/promises";
import { type CopyFileOptions, copyWhole } from "../../host/copy-file.ts";
import { readGuestScript } from "../../ssh/protocol/guest-scripts.ts";
import { encodeCpio } from "../../util/cpio.ts";

const FOLDER = 0o040755;
const SECRET = 0o100600;
const READABLE = 0o100644;

/** What makes one machine differ from another of the same image. */
export interface Seed {
  readonly hostname: string;
  readonly network: "open" | "off";
  /** 32 hexadecimal digits. */
  readonly machineId: string;
  readonly authorizedKey: string;
  /** The SSH server's private key in dropbear's format. */
  readonly hostKey: Uint8Array;
}

/**
 * Writes the initramfs of one machine: the image's own with the seed as a second archive behind it, so that images hold no keys.
 * The kernel unpacks archives one after the other (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
export async function writeSeededInitramfs(
  base: string,
  target: string,
  seed: Seed,
  options: CopyFileOptions = {},
): Promise<void> {
  await rm(target, { force: true }); // what has its place is not to be written to
  await copyWhole(base, target, options);
  await appendFile(target, encodeSeed(seed));
}

function encodeSeed(seed: Seed): Uint8Array {
  const text = (value: string) => Buffer.from(`${value}\n`);
  return encodeCpio([
    { path: "smolvm", mode: FOLDER },
    { path: "smolvm/seed", mode: FOLDER },
    // What speaks with this program is of the same version, whatever the image's is.
    { path: "smolvm/start.sh", mode: READABLE, data: text(readGuestScript("start")) },
    { path: "smolvm/seed/authorized_keys", mode: SECRET, data: text(seed.authorizedKey) },
    { path: "smolvm/seed/host_key_ed25519", mode: SECRET, data: seed.hostKey },
    { path: "smolvm/seed/hostname", mode: READABLE, data: text(seed.hostname) },
    { path: "smolvm/seed/network", mode: READABLE, data: text(seed.network) },
    { path: "smolvm/seed/machine-id", mode: READABLE, data: text(seed.machineId) },
  ]);
}
