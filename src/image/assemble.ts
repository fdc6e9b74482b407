import { rm, stat, writeFile } from "node:fs/promises";
import { builderPaths, type ImagePaths, type StatePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { encodeCpio } from "../util/cpio.ts";
import type { Archive } from "./archive.ts";
import { type Deb, readDeb } from "./deb.ts";
import { buildDebianRoot, openPackageDisk, ROOTFS_BYTES } from "./debian.ts";
import { baseInitramfs, file, withFolders } from "./initramfs.ts";
import { extractKernel } from "./kernel.ts";
import type { ImageManifest } from "./manifest.ts";
import type { Mirror, MirrorOptions } from "./mirror.ts";
import type { ImagePlan } from "./plan.ts";
import { PackageFiles } from "./programs.ts";
import type { OnProgress } from "./progress.ts";
import { DEBIAN_ARCHITECTURES, type ImageName } from "./recipe.ts";
import type { RunGuest } from "./run-guest.ts";
import type { TarMember } from "./tar.ts";
import { tinyEntries } from "./tiny.ts";

export interface BuildOptions extends MirrorOptions {
  readonly state: StatePaths;
  readonly arch: Architecture;
  /** What tells this version of our code from others. */
  readonly recipe: string;
  readonly runGuest: RunGuest;
  /** Look whether the archive has newer packages, even where an image is there. */
  readonly rebuild: boolean;
  readonly archiveKeys?: readonly string[];
  readonly onProgress: OnProgress;
  readonly signal?: AbortSignal | undefined;
}

/** Everything about one build that is known before anything is unpacked. */
export interface Build extends BuildOptions {
  readonly name: ImageName;
  readonly mirrors: Mirror;
  readonly archive: Archive;
  readonly plan: ImagePlan;
  readonly digest: string;
}

/** What is kept of the packages in memory; the rest goes to the package disk as it comes. */
interface Unpacked {
  readonly kernelFiles: readonly TarMember[];
  readonly files: PackageFiles;
}

/** Fills the draft's folder with an image's files, and describes them. */
export async function assembleImage(draft: ImagePaths, build: Build): Promise<ImageManifest> {
  const { arch, plan, onProgress } = build;
  const { kernelFiles, files } = await unpackAll(draft, build);
  onProgress({ phase: "kernel", message: `Unpacking the kernel ${plan.kernelVersion}` });
  await writeFile(draft.kernel, await extractKernel(kernelImage(kernelFiles), arch), { mode: 0o600 });
  const base = await baseInitramfs(files, kernelFiles, DEBIAN_ARCHITECTURES[arch].triplet);
  const own =
    build.name === "tiny"
      ? await tinyEntries(files)
      : [file("smolvm/root-sectors", `${ROOTFS_BYTES / 512}\n`)];
  await writeFile(draft.initramfs, encodeCpio(withFolders([...base, ...own])), { mode: 0o600 });
  const hasDisk = plan.system.length > 0;
  if (hasDisk) await buildDebianRoot(draft, base, files, { ...build, packageCount: plan.system.length });
  await rm(builderPaths(draft.folder).packages, { force: true });
  await rm(builderPaths(draft.folder).initramfs, { force: true });
  return await describe(draft, build, hasDisk);
}

/** Packages come in any order, several downloads at a time, but are unpacked one after the other. */
async function unpackAll(draft: ImagePaths, build: Build): Promise<Unpacked> {
  const { plan, archive, mirrors, signal } = build;
  const disk =
    plan.system.length > 0 ? await openPackageDisk(builderPaths(draft.folder).packages, mirrors) : null;
  const kernelFiles: TarMember[] = [];
  const kept: TarMember[] = [];
  const handle = async (name: string, deb: Deb): Promise<void> => {
    if (name === plan.kernel.name) kernelFiles.push(...deb.data);
    if (plan.initramfs.some((one) => one.name === name)) kept.push(...deb.data);
    if (plan.system.some((one) => one.name === name)) await disk?.add(deb);
  };
  let queue: Promise<void> = Promise.resolve();
  try {
    await archive.fetch(plan.all, (found, bytes) => {
      queue = queue.then(async () => handle(found.name, await readDeb(bytes, found.name, signal)));
      return queue;
    });
    await disk?.finish();
  } finally {
    await disk?.close();
  }
  return { kernelFiles, files: new PackageFiles(kept) };
}

function kernelImage(kernelFiles: readonly TarMember[]): Buffer {
  const image = kernelFiles.find(({ path }) => /^boot\/vmlinu[xz]-/.test(path));
  return Buffer.from(image?.data ?? new Uint8Array(0));
}

async function describe(draft: ImagePaths, build: Build, hasDisk: boolean): Promise<ImageManifest> {
  return {
    formatVersion: 1,
    name: build.name,
    arch: build.arch,
    digest: build.digest,
    recipe: build.recipe,
    kernelVersion: build.plan.kernelVersion,
    createdAt: new Date().toISOString(),
    kernelBytes: (await stat(draft.kernel)).size,
    initramfsBytes: (await stat(draft.initramfs)).size,
    rootfsBytes: hasDisk ? (await stat(draft.rootfs)).size : null,
    mirror: build.mirrors.archive,
    packages: build.plan.all.map(({ name, version, sha256 }) => ({ name, version, sha256 })),
  };
}
