import type { CpioEntry } from "../util/cpio.ts";
import { readGuestFile, SMOLVM_FILES } from "./guest-files.ts";
import { collectModules, type KernelModule } from "./modules.ts";
import type { PackageFiles } from "./programs.ts";
import type { TarMember } from "./tar.ts";

const FOLDER = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;
const SYMLINK = 0o120777;
const FIFO = 0o010600;
const CHARACTER_DEVICE = 0o020600;

/** What our init loads, and when. */
const MODULES = { disk: ["virtio_blk"], net: ["virtio_net"], random: ["virtio_rng"] } as const;

/** What every guest's initramfs holds: our init, busybox to run it, and the kernel's drivers for QEMU's devices. */
export async function baseInitramfs(
  files: PackageFiles,
  kernelFiles: readonly TarMember[],
): Promise<CpioEntry[]> {
  return [
    { path: ".", mode: FOLDER }, // the SSH server refuses keys below a folder that others may write to
    ...["proc", "sys", "dev", "run", "newroot", "smolvm/ssh"].map(folder),
    { path: "tmp", mode: 0o041777 },
    { path: "root", mode: 0o040700 },
    ...["bin", "sbin", "lib", "lib64"].flatMap((name) => [folder(`usr/${name}`), link(name, `usr/${name}`)]),
    { path: "dev/console", mode: CHARACTER_DEVICE, device: { major: 5, minor: 1 } },
    ...["dev/pts", "dev/shm", "run/smolvm"].map((path) => folder(`smolvm/skeleton/${path}`)),
    link("smolvm/skeleton/dev/fd", "/proc/self/fd"),
    ...["stdin", "stdout", "stderr"].map((name, fd) =>
      link(`smolvm/skeleton/dev/${name}`, `/proc/self/fd/${fd}`),
    ),
    { path: "smolvm/never", mode: FIFO },
    { path: "smolvm/times", mode: FIFO },
    { path: "smolvm/busybox", mode: PROGRAM, data: files.get("bin/busybox") },
    ...["sh", "busybox"].map((name) => link(`usr/bin/${name}`, "/smolvm/busybox")),
    { path: "init", mode: PROGRAM, data: await readGuestFile("init.sh") },
    ...(await Promise.all(
      SMOLVM_FILES.map(async (name) => file(`smolvm/${name}`, await readGuestFile(name))),
    )),
    ...(await moduleEntries(kernelFiles)),
  ];
}

/** Adds the folders that the entries lie in, each before what it holds. The first of two entries of one path stays. */
export function withFolders(entries: readonly CpioEntry[]): CpioEntry[] {
  const all = new Map<string, CpioEntry>();
  const explicit = new Map(entries.map((entry) => [entry.path, entry]));
  for (const entry of entries) {
    const parts = entry.path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join("/");
      if (!all.has(path)) all.set(path, explicit.get(path) ?? folder(path));
    }
    if (!all.has(entry.path)) all.set(entry.path, entry);
  }
  return [...all.values()];
}

export function file(path: string, data: string | Uint8Array, mode = FILE): CpioEntry {
  return { path, mode, data: typeof data === "string" ? Buffer.from(data) : data };
}

export function folder(path: string): CpioEntry {
  return { path, mode: FOLDER };
}

export function link(path: string, linkTarget: string): CpioEntry {
  return { path, mode: SYMLINK, linkTarget };
}

/** Numbered, so that a shell's `*` lists them in the order in which they must be loaded. */
async function moduleEntries(kernelFiles: readonly TarMember[]): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [];
  for (const [group, wanted] of Object.entries(MODULES)) {
    const modules: KernelModule[] = await collectModules(kernelFiles, wanted);
    entries.push(folder(`smolvm/modules/${group}`));
    entries.push(
      ...modules.map(({ name, content }, index) =>
        file(`smolvm/modules/${group}/${index}-${name}.ko`, content),
      ),
    );
  }
  return entries;
}
