import { dirname } from "node:path";
import { ImageError } from "../errors.ts";
import { discardFolder } from "../host/whole-folder.ts";
import type { StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { nearestOf } from "../util/options.ts";
import type { MirrorOptions } from "./mirror.ts";
import type { OnProgress } from "./progress.ts";
import { IMAGE_NAMES, type ImageName, recipeDigest } from "./recipe.ts";
import type { RunGuest } from "./run-guest.ts";
import { type Image, readImages, requireRead } from "./store.ts";

export type { Progress } from "./progress.ts";
export type { GuestTask } from "./run-guest.ts";
export { IMAGE_NAMES, type Image, type ImageName };

export interface EnsureImageOptions extends MirrorOptions {
  readonly state: StatePaths;
  readonly arch: Architecture;
  /** Boots the guest that makes the root file system; only called where an image with a disk has to be made. */
  readonly runGuest: RunGuest;
  /** Ask the archive whether there is anything newer, and make the image again if so. Default false. */
  readonly rebuild?: boolean;
  /** Does the making, which may take minutes; an image that is there is found outside of it. */
  readonly untimed?: <T>(make: () => Promise<T>) => Promise<T>;
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
  const { state, arch, rebuild = false, onProgress = () => {}, untimed = (make) => make() } = options;
  const recipe = await recipeDigest(name);
  if (!rebuild) {
    const stored = await readImages(state, name);
    const current = pickCurrent(stored.images, { name, arch, recipe });
    if (current) return current;
    requireRead(stored);
  }
  const { buildImage } = await import("./build.ts");
  return untimed(() => buildImage(name, { ...options, recipe, rebuild, onProgress }));
}

/** The one that new machines start from: the newest of those that this version of our code made. */
function pickCurrent(
  images: readonly Image[],
  { name, arch, recipe }: Pick<Image["manifest"], "name" | "arch" | "recipe">,
): Image | undefined {
  return images.find(
    ({ manifest }) => manifest.name === name && manifest.arch === arch && manifest.recipe === recipe,
  );
}

/** The digests of those that new machines start from: not of older ones, nor of what another version of our code made. */
export async function currentAmong(images: readonly Image[]): Promise<ReadonlySet<string>> {
  const recipes = new Map<string, string>();
  for (const name of IMAGE_NAMES) recipes.set(name, await recipeDigest(name));
  const isCurrent = (image: Image) => {
    const { name, arch } = image.manifest;
    return pickCurrent(images, { name, arch, recipe: recipes.get(name) ?? "" }) === image;
  };
  return new Set(images.filter(isCurrent).map(({ manifest }) => manifest.digest));
}

/** All images that are whole, the newest first. */
export async function listImages(state: StatePaths): Promise<readonly Image[]> {
  return (await readImages(state)).images;
}

/** The very image, whether or not another one has its name by now; undefined where it is gone. */
export async function findImage(state: StatePaths, name: string, digest: string): Promise<Image | undefined> {
  const stored = await readImages(state, name);
  const found = stored.images.find(({ manifest }) => manifest.digest === digest);
  if (!found) requireRead(stored);
  return found;
}

/** The image of that name that new machines start from; else the newest one. ImageError where there is none. */
export async function inspectImage(state: StatePaths, name: string): Promise<Image> {
  const stored = await readImages(state);
  const { images } = stored;
  const found = images.filter(({ manifest }) => manifest.name === name);
  const current = await currentAmong(found);
  const image = found.find(({ manifest }) => current.has(manifest.digest)) ?? found[0];
  if (image) return image;
  requireRead(stored);
  const names = [...new Set(images.map(({ manifest }) => manifest.name))];
  const nearest = nearestOf(name, names);
  throw new ImageError(
    `There is no image "${name}" in ${state.images}${nearest ? `; did you mean "${nearest}"?` : "."}`,
    {
      details: { name, images: names },
      remediation: IMAGE_NAMES.some((known) => known === name)
        ? `Build it: smolvm image build ${name}`
        : "List the images with: smolvm image ls",
    },
  );
}

/** The folders of all images of that name, damaged ones too; ImageError where there is none. */
export async function foldersOfImage(state: StatePaths, name: string): Promise<string[]> {
  const { images, damaged, unread } = await readImages(state, name);
  const others = [...damaged, ...unread].map(({ folder }) => folder);
  const folders = [...images.map(({ kernel }) => dirname(kernel)), ...others];
  if (folders.length === 0) await inspectImage(state, name);
  return folders;
}

/** Removes all images of that name, damaged ones too; ImageError where there is none, or another process was first. What machines hold of them stays. */
export async function deleteImage(state: StatePaths, name: string): Promise<void> {
  let isOurs = false;
  for (const folder of await foldersOfImage(state, name)) isOurs = (await discardFolder(folder)) || isOurs;
  if (!isOurs) await inspectImage(state, name);
}
