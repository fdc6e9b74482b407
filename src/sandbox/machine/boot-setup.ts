import type { AcceleratorChoice } from "../../qemu/accelerator.ts";
import type { QemuBinary } from "../../qemu/binary.ts";
import type { ClientKey } from "../../ssh/openssh/keys.ts";

/** What is the same for every machine of a kind, however it starts. */
export interface Setup {
  readonly files: BootFiles;
  readonly key: ClientKey;
  readonly choice: AcceleratorChoice;
  readonly qemu: QemuBinary;
}

/** What QEMU is given to boot. */
export interface BootFiles {
  /** Null: the caller's own kernel and disk. */
  readonly image: ImageIdentity | null;
  readonly kernel: string;
  /** Null: none. */
  readonly initramfs: string | null;
  readonly bootArgs: string;
  /** Null: a machine without a disk. */
  readonly disk: BaseDisk | null;
  /** Whether the seed (keys, host name) goes in and a ready line comes out. */
  readonly startsSsh: boolean;
}

/** Which image, whatever becomes of its name. */
export interface ImageIdentity {
  readonly name: string;
  readonly digest: string;
  /** Null: nobody has written it down. */
  readonly kernelVersion: string | null;
}

/** The disk that machines lay their overlays on. */
export interface BaseDisk {
  readonly path: string;
  readonly format: "raw" | "qcow2";
  /** What the guest sees, in bytes. */
  readonly bytes: number;
}
