import { readFile } from "node:fs/promises";

/** The files of src/guest that go into /smolvm of every guest, under the same names. */
export const SMOLVM_FILES = [
  "init-run.sh",
  "init-sshd.sh",
  "fstab.early",
  "fstab.memory",
  "fstab.root",
] as const;

/** Those that only the guest that builds an image has. */
export const BUILDER_FILES = ["init-build.sh", "fstab.build"] as const;

/** Those that there stand in for programs of the new system. */
export const BUILDER_PROGRAMS = [
  "build/deb-systemd-helper",
  "build/dpkg-maintscript-helper",
  "build/update-ca-certificates",
] as const;

/** Those that go elsewhere. */
const OTHER_FILES = ["init.sh", "tiny-profile.sh", "debian-profile.sh"] as const;

const ALL_FILES = [...SMOLVM_FILES, ...BUILDER_FILES, ...BUILDER_PROGRAMS, ...OTHER_FILES];

export type GuestFile = (typeof ALL_FILES)[number];

/** A real file of src/guest. */
export async function readGuestFile(name: GuestFile): Promise<Buffer> {
  return await readFile(new URL(`../guest/${name}`, import.meta.url));
}

/** All that our own code puts into a guest. */
export async function readAllGuestFiles(): Promise<Buffer[]> {
  return await Promise.all(ALL_FILES.map(readGuestFile));
}
