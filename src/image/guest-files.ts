import { readPackageFile } from "../host/package-file.ts";

/** The files of src/guest that go into /smolvm of every guest, under the same names. */
export const SMOLVM_FILES = [
  "account.sh",
  "init-again.sh",
  "init-identity.sh",
  "init-live.sh",
  "init-mend.sh",
  "init-run.sh",
  "init-shared.sh",
  "init-time.sh",
  "session.sh",
  "take-names.sh",
  "watch-names.sh",
  "fstab.early",
  "fstab.image",
  "fstab.memory",
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
const OTHER_FILES = ["init.sh", "enter.sh", "tiny-profile.sh", "debian-profile.sh"] as const;

const ALL_FILES = [...SMOLVM_FILES, ...BUILDER_FILES, ...BUILDER_PROGRAMS, ...OTHER_FILES];

export type GuestFile = (typeof ALL_FILES)[number];

/** A real file of src/guest. */
export async function readGuestFile(name: GuestFile): Promise<Buffer> {
  return await readPackageFile(new URL(`../guest/${name}`, import.meta.url));
}

/** All that our own code puts into a guest. */
export async function readAllGuestFiles(): Promise<Buffer[]> {
  return await Promise.all(ALL_FILES.map(readGuestFile));
}
