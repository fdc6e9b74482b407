import { mkdirSync, writeFileSync } from "node:fs";
import { findImage, type Image } from "../../src/image/images.ts";
import type { ImageManifest } from "../../src/image/manifest.ts";
import { recipeDigest } from "../../src/image/recipe.ts";
import { imagePaths, type StatePaths } from "../../src/state/paths.ts";

/** An image that no guest could boot, whose files tell which one it is. Of one name there may be several. */
export async function storeImage(
  state: StatePaths,
  name: "debian" | "tiny",
  digit: string,
  createdAt = `2026-01-0${digit}T00:00:00.000Z`,
): Promise<Image> {
  const digest = digit.repeat(64);
  const paths = imagePaths(state, `${name}-x86_64-${digest.slice(0, 16)}`);
  mkdirSync(paths.folder, { recursive: true });
  const files = { kernel: `kernel ${digit}`, initramfs: `initramfs ${digit}`, rootfs: `rootfs ${digit}` };
  const hasDisk = name === "debian";
  writeFileSync(paths.kernel, files.kernel);
  writeFileSync(paths.initramfs, files.initramfs);
  if (hasDisk) writeFileSync(paths.rootfs, files.rootfs);
  const manifest: ImageManifest = {
    ...{ formatVersion: 1, name, arch: "x86_64", digest, recipe: await recipeDigest(name), createdAt },
    ...{ kernelVersion: `6.${digit}`, mirror: "https://mirror.test", packages: [] },
    kernelBytes: files.kernel.length,
    initramfsBytes: files.initramfs.length,
    rootfsBytes: hasDisk ? files.rootfs.length : null,
  };
  writeFileSync(paths.manifest, JSON.stringify(manifest));
  const found = await findImage(state, name, digest);
  if (!found) throw new Error(`the image in ${paths.folder} is not found`);
  return found;
}
