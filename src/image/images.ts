import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ImageError } from "../errors.ts";
import type { StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { nearestOf } from "../util/options.ts";
import type { MirrorOptions } from "./mirror.ts";
import type { OnProgress } from "./progress.ts";
import { type ImageName, recipeDigest } from "./recipe.ts";
import type { RunGuest } from "./run-guest.ts";
import { type Image, readImages } from "./store.ts";

export type { Progress } from "./progress.ts";
export type { GuestTask } from "./run-guest.ts";
export type { Image, ImageName };

export interface EnsureImageOptions extends MirrorOptions {
  readonly state: StatePaths;
  readonly arch: Architecture;
  /** Boots the guest that makes the root file system; only called where an image with a disk has to be made. */
  readonly runGuest: RunGuest;
  /** Ask the archive whether there is anything newer, and make the image anew if so. Default false. */
  readonly rebuild?: boolean;
  /** ASCII-armoured public keys that the mirror's index may be signed by. Default: Debian's own. */
  readonly archiveKeys?: readonly string[];
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The image of that name, made from Debian packages if it isn't there yet. Where it is: a few milliseconds, no network.
 * Throws ImageError where a signature, a hash, a dependency or the build itself is wrong; then nothing is kept.
 */
export async function ensureImage(name: ImageName, options: EnsureImageOptions): Promise<Image> {
  const { state, arch, rebuild = false, onProgress = () => {} } = options;
  const recipe = await recipeDigest(name);
  if (!rebuild) {
    const { images } = await readImages(state, name);
    const current = images.find(({ manifest }) => manifest.arch === arch && manifest.recipe === recipe);
    if (current) return current;
  }
  const { buildImage } = await import("./build.ts");
  return await buildImage(name, { ...options, recipe, rebuild, onProgress });
}

/** All images that are whole, the newest first. */
export async function listImages(state: StatePaths): Promise<readonly Image[]> {
  return (await readImages(state)).images;
}

/** The newest image of that name; ImageError where there is none. */
export async function inspectImage(state: StatePaths, name: string): Promise<Image> {
  const images = await listImages(state);
  const found = images.find(({ manifest }) => manifest.name === name);
  if (found) return found;
  const names = [...new Set(images.map(({ manifest }) => manifest.name))];
  const nearest = nearestOf(name, names);
  throw new ImageError(
    `There is no image "${name}" in ${state.images}${nearest ? `; did you mean "${nearest}"?` : "."}`,
    { details: { name, images: names }, remediation: "List the images with: smolvm image ls" },
  );
}

/** Removes all images of that name, damaged ones too; ImageError where there is none. Machines that run on one keep its open files. */
export async function deleteImage(state: StatePaths, name: string): Promise<void> {
  const { images, damaged } = await readImages(state, name);
  const folders = [...images.map(({ kernel }) => dirname(kernel)), ...damaged.map(({ folder }) => folder)];
  if (folders.length === 0) await inspectImage(state, name);
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
}
