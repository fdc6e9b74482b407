import { open, truncate, writeFile } from "node:fs/promises";
import { builderPaths, type ImagePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { type CpioEntry, encodeCpio } from "../util/cpio.ts";
import type { Deb } from "./deb.ts";
import { debianFiles } from "./debian-files.ts";
import { openDpkgDatabase } from "./dpkg-database.ts";
import { withFolders } from "./initramfs.ts";
import type { Mirror } from "./mirror.ts";
import { type PackageFiles, programsWithLibraries } from "./programs.ts";
import type { OnProgress } from "./progress.ts";
import { DEBIAN_ARCHITECTURES } from "./recipe.ts";
import type { RunGuest } from "./run-guest.ts";
import { encodeTarPart, TAR_END } from "./tar.ts";

/** Packages on their way into the builder guest, as one tar archive on a raw disk. */
export interface PackageDisk {
  add(deb: Deb): Promise<void>;
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** Each package is written as it comes, so that not all of them are in memory. One call must have ended before the next. */
export async function openPackageDisk(path: string, mirror: Mirror): Promise<PackageDisk> {
  const file = await open(path, "w", 0o600);
  const database = openDpkgDatabase();
  const write = async (members: Parameters<typeof encodeTarPart>[0]) =>
    file.appendFile(await encodeTarPart(members));
  return {
    add: async (deb) => write([...deb.data, ...database.add(deb)]),
    finish: async () => {
      await write([...database.finish(), ...debianFiles(mirror)]);
      await file.appendFile(TAR_END);
    },
    close: () => file.close(),
  };
}

export interface BuilderOptions {
  readonly arch: Architecture;
  readonly runGuest: RunGuest;
  readonly onProgress: OnProgress;
  readonly packageCount: number;
  readonly signal?: AbortSignal | undefined;
}

/** What the file system can hold; the machine's disk may be larger, then the guest grows it. */
const ROOTFS_BYTES = 1024 * 1024 * 1024;
const BUILDER_MEMORY_MIB = 1024;
const BUILDER_CPUS = 2;
const BUILDER_TIMEOUT_MS = 20 * 60_000;

/** Makes `draft.rootfs` in a guest: only there are owners, modes and devices right, and nobody needs to be root here. */
export async function buildDebianRoot(
  draft: ImagePaths,
  initramfs: readonly CpioEntry[],
  files: PackageFiles,
  options: BuilderOptions,
): Promise<number> {
  const builder = builderPaths(draft.folder);
  const { name, triplet } = DEBIAN_ARCHITECTURES[options.arch];
  const tools = programsWithLibraries(files, ["usr/sbin/mkfs.ext4", "usr/sbin/tune2fs"], triplet);
  await writeFile(builder.initramfs, encodeCpio(withFolders([...initramfs, ...tools])), { mode: 0o600 });
  await writeFile(draft.rootfs, "", { mode: 0o600 });
  await truncate(draft.rootfs, ROOTFS_BYTES);
  await options.runGuest({
    arch: options.arch,
    kernel: draft.kernel,
    initramfs: builder.initramfs,
    bootArgs: `smolvm.task=build smolvm.arch=${name}`,
    memoryMib: BUILDER_MEMORY_MIB,
    cpus: BUILDER_CPUS,
    disks: [
      { path: draft.rootfs, format: "raw", readOnly: false },
      { path: builder.packages, format: "raw", readOnly: true },
    ],
    onLine: builderProgress(options),
    timeoutMs: BUILDER_TIMEOUT_MS,
    signal: options.signal,
  });
  return ROOTFS_BYTES;
}

/** Our own lines, and dpkg's, which tell which package it is at. */
function builderProgress({ onProgress, packageCount }: BuilderOptions): (line: string) => void {
  let configured = 0;
  return (line) => {
    const [, said] = /smolvm: progress (.*)$/.exec(line) ?? [];
    if (said) onProgress({ phase: "build", message: said });
    if (!/^Setting up \S+ /.test(line)) return;
    configured += 1;
    onProgress({
      phase: "build",
      message: "Configuring packages in the guest",
      done: configured,
      total: packageCount,
    });
  };
}
