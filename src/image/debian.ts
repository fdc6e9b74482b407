import { open, truncate, writeFile } from "node:fs/promises";
import { builderPaths, type ImagePaths } from "../state/paths.ts";
import type { Architecture } from "../util/architecture.ts";
import { type CpioEntry, encodeCpio } from "../util/cpio.ts";
import type { Deb } from "./deb.ts";
import { debianFiles } from "./debian-files.ts";
import { openDpkgDatabase, textFile } from "./dpkg-database.ts";
import { BUILDER_FILES, BUILDER_PROGRAMS, type GuestFile, readGuestFile } from "./guest-files.ts";
import { file, withFolders } from "./initramfs.ts";
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
      const profile = textFile("etc/profile", String(await readGuestFile("debian-profile.sh")));
      await write([...database.finish(), ...debianFiles(mirror), profile]);
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

/**
 * As large as a machine's disk is by default: then it need not grow, which would cost 0.1 s at the first boot under
 * emulation. The file is sparse.
 */
export const ROOTFS_BYTES = 4 * 1024 * 1024 * 1024;
const BUILDER_MEMORY_MIB = 1024;
/** Packages are configured one after the other: a second CPU only costs, 28 s instead of 22 s of the host's. */
const BUILDER_CPUS = 1;
/** What a guest that lives for half a minute and runs nobody's code can do without. Measured: 4 s less under emulation. */
const BUILDER_BOOT_ARGS = [
  "init_on_alloc=0",
  "mitigations=off",
  "cryptomgr.notests=1",
  "initcall_blacklist=jent_mod_init,load_system_certificate_list",
].join(" ");
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
  const entries = withFolders([...initramfs, ...tools, ...(await builderFiles())]);
  await writeFile(builder.initramfs, encodeCpio(entries), { mode: 0o600 });
  await writeFile(draft.rootfs, "", { mode: 0o600 });
  await truncate(draft.rootfs, ROOTFS_BYTES);
  await options.runGuest({
    arch: options.arch,
    kernel: draft.kernel,
    initramfs: builder.initramfs,
    bootArgs: `${BUILDER_BOOT_ARGS} smolvm.task=build smolvm.arch=${name}`,
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

async function builderFiles(): Promise<CpioEntry[]> {
  const entry = async (name: GuestFile, mode?: number) =>
    file(`smolvm/${name}`, await readGuestFile(name), mode);
  return await Promise.all([
    ...BUILDER_FILES.map((name) => entry(name)),
    ...BUILDER_PROGRAMS.map((name) => entry(name, 0o100755)),
  ]);
}

const PROGRESS = "smolvm: progress ";

function parseProgress(line: string): string {
  const at = line.indexOf(PROGRESS);
  return at === -1 ? "" : line.slice(at + PROGRESS.length);
}

/** Our own lines, and dpkg's, which tell which package it is at. */
function builderProgress({ onProgress, packageCount }: BuilderOptions): (line: string) => void {
  let configured = 0;
  return (line) => {
    const said = parseProgress(line);
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
