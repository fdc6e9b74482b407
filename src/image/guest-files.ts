import { readFile } from "node:fs/promises";

/** The files of src/guest that go into /smolvm of every guest as they are. */
export const SMOLVM_FILES = [
  "init-run.sh",
  "init-sshd.sh",
  "init-build.sh",
  "init-trial.sh",
  "fstab.early",
  "fstab.memory",
  "fstab.root",
] as const;

/** Those that go elsewhere. */
type OtherGuestFile = "init.sh" | "tiny-profile.sh";

export type GuestFile = (typeof SMOLVM_FILES)[number] | OtherGuestFile;

/** A real file of src/guest. */
export async function readGuestFile(name: GuestFile): Promise<Buffer> {
  return await readFile(new URL(`../guest/${name}`, import.meta.url));
}

/** All that our own code puts into a guest. */
export async function readAllGuestFiles(): Promise<Buffer[]> {
  return await Promise.all(
    ["init.sh" as const, "tiny-profile.sh" as const, ...SMOLVM_FILES].map(readGuestFile),
  );
}
