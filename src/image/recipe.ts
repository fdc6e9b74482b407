import { createHash } from "node:crypto";
import type { Architecture } from "../util/architecture.ts";
import { readAllGuestFiles } from "./guest-files.ts";

export type ImageName = "debian" | "tiny";
/** Those that are built where they are missing. */
export const IMAGE_NAMES: readonly ImageName[] = ["debian", "tiny"];

/** To be raised when an image would come out differently for a reason that no file of src/guest and no list below shows. */
const RECIPE_VERSION = 1;

/** How Debian calls an architecture, in its three dialects. */
export interface DebianArchitecture {
  readonly name: string;
  readonly triplet: string;
  readonly kernelPackage: string;
}

export const DEBIAN_ARCHITECTURES: Readonly<Record<Architecture, DebianArchitecture>> = {
  x86_64: { name: "amd64", triplet: "x86_64-linux-gnu", kernelPackage: "linux-image-cloud-amd64" },
  aarch64: { name: "arm64", triplet: "aarch64-linux-gnu", kernelPackage: "linux-image-cloud-arm64" },
};

/** What runs before there is a root file system, or instead of one. Dependencies are added. */
export const INITRAMFS_PACKAGES = [
  "busybox-static",
  "dropbear-bin",
  "inotify-tools",
  "openssh-sftp-server",
] as const;

/** What the image "debian" has installed beside the packages that Debian calls required. Dependencies are added. */
export const DEBIAN_PACKAGES = [
  "apt",
  "ca-certificates",
  "e2fsprogs", // grows the file system to the machine's disk
  "iproute2",
  "netbase",
  "procps",
] as const;

const digests = new Map<ImageName, Promise<string>>();

/** Tells images apart that were made by different versions of this code. Our files don't change while we run. */
export function recipeDigest(name: ImageName): Promise<string> {
  const digest = digests.get(name) ?? digestOf(name);
  digests.set(name, digest);
  digest.catch(() => digests.delete(name)); // what the host could not read now it may the next time
  return digest;
}

async function digestOf(name: ImageName): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([RECIPE_VERSION, name, INITRAMFS_PACKAGES, DEBIAN_PACKAGES]));
  for (const file of await readAllGuestFiles()) hash.update(String(file.length)).update(file);
  return hash.digest("hex");
}
