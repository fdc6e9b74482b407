import { rm } from "node:fs/promises";
import { ImageError, SmolVMError } from "../errors.ts";
import { acquireLock } from "../host/lock.ts";
import { remedyForHost } from "../host/remedies.ts";
import { codeOf } from "../host/whole-file.ts";
import { type ImagePaths, imageBuildPaths } from "../state/paths.ts";
import { openArchive } from "./archive.ts";
import { assembleImage, type Build, type BuildOptions } from "./assemble.ts";
import { rescueParts } from "./download.ts";
import { findMirror } from "./mirror.ts";
import { planDigest, planImage } from "./plan.ts";
import type { ImageName } from "./recipe.ts";
import { readArchiveKeys } from "./release.ts";
import {
  ensureImagesFolder,
  type Image,
  openDraft,
  publishDraft,
  readImages,
  requireRead,
  setAside,
} from "./store.ts";

/**
 * The image, made if need be. Only one process makes an image at a time; others wait and take what it made. What is
 * not finished is nowhere to be seen, and left-overs of those who died are removed.
 */
export async function buildImage(name: ImageName, options: BuildOptions): Promise<Image> {
  const { state, onProgress, signal } = options;
  const stem = `${name}-${options.arch}`;
  await ensureImagesFolder(state);
  const release = await acquireLock(imageBuildPaths(state, stem).lock, {
    operation: "Waiting for another process to build the image",
    onWait: ({ pid }) =>
      onProgress({ phase: "wait", message: `Waiting for process ${pid}, which builds this image` }),
    signal,
  });
  try {
    return (await findUsable(name, stem, options)) ?? (await makeImage(name, stem, options));
  } finally {
    await release();
  }
}

/** What is damaged is named and put aside, so that it can be made again under the same name. */
async function findUsable(name: ImageName, stem: string, options: BuildOptions): Promise<Image | undefined> {
  const stored = await readImages(options.state, name);
  const { images, damaged } = stored;
  for (const one of damaged) {
    const target = await setAside(options.state, stem, one);
    options.onProgress({ phase: "wait", message: `${one.folder} ${one.reason}; it was moved to ${target}` });
  }
  if (options.rebuild) return undefined;
  const { arch, recipe } = options;
  const usable = images.find(({ manifest }) => manifest.arch === arch && manifest.recipe === recipe);
  if (!usable) requireRead(stored);
  return usable;
}

async function makeImage(name: ImageName, stem: string, options: BuildOptions): Promise<Image> {
  const { state, arch, recipe, onProgress, signal } = options;
  const mirrors = await findMirror(options);
  await rescueParts(state.downloads);
  const archive = await openArchive({
    mirror: mirrors.archive,
    arch,
    downloads: state.downloads,
    keys: options.archiveKeys ?? (await readArchiveKeys()),
    onProgress,
    signal,
  });
  const plan = planImage(archive.packages, name, arch);
  const digest = planDigest(plan, arch, recipe, mirrors);
  const { images } = await readImages(state, name);
  const same = images.find(({ manifest }) => manifest.digest === digest);
  if (same) return same;
  const draft = await openDraft(state, stem);
  return await fillAndPublish(draft, { ...options, name, mirrors, archive, plan, digest });
}

async function fillAndPublish(draft: ImagePaths, build: Build): Promise<Image> {
  try {
    const manifest = await assembleImage(draft, build);
    build.onProgress({ phase: "publish", message: "Publishing the image" });
    return await publishDraft(build.state, draft, manifest);
  } catch (error) {
    await rm(draft.folder, { recursive: true, force: true }).catch(() => {}); // it is the next builder's
    if (error instanceof SmolVMError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new ImageError(`The image ${build.name} can't be made: ${why}.`, {
      cause: error,
      ...(codeOf(error) !== "" && { remediation: remedyForHost(codeOf(error)) }),
    });
  }
}
