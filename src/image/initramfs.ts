import type { CpioEntry } from "../util/cpio.ts";
import { readGuestFile, SMOLVM_FILES } from "./guest-files.ts";
import { collectModules, type KernelModule } from "./modules.ts";
import { type PackageFiles, programsWithLibraries } from "./programs.ts";
import type { TarMember } from "./tar.ts";

const FOLDER = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;
const SYMLINK = 0o120777;
const FIFO = 0o010600;
const CHARACTER_DEVICE = 0o020600;

/** What our init loads, and when. */
const MODULES = { disk: ["virtio_blk"], net: ["virtio_net"], random: ["virtio_rng"] } as const;

/** Devices of our own root, which nobody in the guest can take away: type and number as in Documentation/admin-guide/devices.txt. */
const DEVICES: readonly (readonly [name: string, major: number, minor: number])[] = [
  ["console", 5, 1],
  ["null", 1, 3],
  ["zero", 1, 5],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
  ["ptmx", 5, 2],
];

/**
 * What every guest's initramfs holds: a root of our own, which stays in memory, with our init, busybox to run it, the SSH server
 * and the kernel's drivers for QEMU's devices. The image's root is mounted below it, at /image.
 */
export async function baseInitramfs(
  files: PackageFiles,
  kernelFiles: readonly TarMember[],
  triplet: string,
): Promise<CpioEntry[]> {
  return [
    { path: ".", mode: FOLDER }, // the SSH server refuses keys below a folder that others may write to
    ...["proc", "sys", "dev/pts", "run", "image", "smolvm/ssh"].map(folder),
    { path: "tmp", mode: 0o041777 },
    ...["bin", "sbin", "lib", "lib64"].flatMap((name) => [folder(`usr/${name}`), link(name, `usr/${name}`)]),
    ...DEVICES.map(([name, major, minor]) => device(`dev/${name}`, major, minor)),
    link("dev/fd", "/proc/self/fd"),
    ...["dev/pts", "dev/shm"].map((path) => folder(`smolvm/skeleton/${path}`)),
    link("smolvm/skeleton/dev/fd", "/proc/self/fd"),
    ...["stdin", "stdout", "stderr"].map((name, fd) =>
      link(`smolvm/skeleton/dev/${name}`, `/proc/self/fd/${fd}`),
    ),
    { path: "smolvm/never", mode: FIFO },
    { path: "smolvm/times", mode: FIFO },
    { path: "smolvm/names", mode: FIFO },
    { path: "smolvm/busybox", mode: PROGRAM, data: files.get("bin/busybox") },
    ...["sh", "busybox"].map((name) => link(`usr/bin/${name}`, "/smolvm/busybox")),
    ...serverEntries(files, triplet),
    ...Object.entries(ACCOUNTS).map(([name, lines]) =>
      file(`etc/${name}`, lines.map((line) => `${line}\n`).join("")),
    ),
    { path: "init", mode: PROGRAM, data: await readGuestFile("init.sh") },
    { path: "smolvm/enter", mode: PROGRAM, data: await readGuestFile("enter.sh") },
    ...(await Promise.all(
      SMOLVM_FILES.map(async (name) => file(`smolvm/${name}`, await readGuestFile(name))),
    )),
    ...(await moduleEntries(kernelFiles)),
  ];
}

/** By the first name the host comes in, by others the user of an ordinary SSH client: see src/guest/enter.sh. */
const ACCOUNTS: Readonly<Record<string, readonly string[]>> = {
  passwd: ["@smolvm:x:0:0::/:/bin/sh", "root:x:0:0::/:/smolvm/enter"],
  group: ["root:x:0:", "tty:x:5:"],
  shells: ["/bin/sh", "/smolvm/enter"],
};

const SFTP_SERVER = "usr/lib/openssh/sftp-server";
const NAMES_WATCHER = "usr/bin/inotifywait";

/** Some run with the image's root as their own: our library folder and loader are then found from the working directory. */
function serverEntries(files: PackageFiles, triplet: string): CpioEntry[] {
  const entries = programsWithLibraries(files, ["usr/sbin/dropbear", SFTP_SERVER, NAMES_WATCHER], triplet);
  const loader = entries.find(({ path }) => /\/ld-linux[^/]*$/.test(path));
  return [
    ...entries,
    link("smolvm/sftp-server", `../${SFTP_SERVER}`),
    link("smolvm/inotifywait", `../${NAMES_WATCHER}`),
    link("smolvm/libraries", `../usr/lib/${triplet}`),
    ...(loader ? [link("smolvm/loader", `../${loader.path}`)] : []),
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

function device(path: string, major: number, minor: number): CpioEntry {
  return { path, mode: CHARACTER_DEVICE, device: { major, minor } };
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
