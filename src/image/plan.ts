import { createHash } from "node:crypto";
import { ImageError } from "../errors.ts";
import type { Architecture } from "../util/architecture.ts";
import type { Mirror } from "./mirror.ts";
import type { Package, PackageIndex } from "./packages.ts";
import { DEBIAN_ARCHITECTURES, DEBIAN_PACKAGES, type ImageName, INITRAMFS_PACKAGES } from "./recipe.ts";
import { resolvePackages } from "./resolve.ts";

/** The packages an image is made of, by what becomes of them. One package may be in several lists. */
export interface ImagePlan {
  readonly kernel: Package;
  readonly kernelVersion: string;
  /** Those whose files go into the initramfs of the image, or of the guest that builds it. */
  readonly initramfs: readonly Package[];
  /** Those that are installed on its disk; none where the image stays in memory. */
  readonly system: readonly Package[];
  /** Every package once, by name. */
  readonly all: readonly Package[];
}

export function planImage(index: PackageIndex, name: ImageName, arch: Architecture): ImagePlan {
  const kernel = findKernel(index, DEBIAN_ARCHITECTURES[arch].kernelPackage);
  const isDebian = name === "debian";
  const initramfs = resolvePackages(index, [...INITRAMFS_PACKAGES, ...(isDebian ? ["e2fsprogs"] : [])]);
  const system = isDebian
    ? resolvePackages(index, [...index.withPriority("required"), ...DEBIAN_PACKAGES])
    : [];
  const all = new Map([kernel, ...initramfs, ...system].map((found) => [found.name, found]));
  return {
    kernel,
    kernelVersion: kernel.name.replace(/^linux-image-/, ""),
    initramfs,
    system,
    all: [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** Over all that decides what the image will be: the same digest means the same image. */
export function planDigest(plan: ImagePlan, arch: Architecture, recipe: string, mirror: Mirror): string {
  const packages = plan.all.map(({ name, version, sha256 }) => [name, version, sha256]);
  const inputs = [arch, recipe, mirror.archive, mirror.security, packages];
  return createHash("sha256").update(JSON.stringify(inputs)).digest("hex");
}

/** Debian has a package without content that depends on the newest kernel. The kernel's own dependencies build initramfs images; we have our own. */
function findKernel(index: PackageIndex, metaPackage: string): Package {
  const name = index.find(metaPackage)?.depends.flat()[0]?.name;
  const kernel = name === undefined ? undefined : index.find(name);
  if (!kernel) throw new ImageError(`The archive has no kernel package ${name ?? metaPackage}.`);
  return kernel;
}
