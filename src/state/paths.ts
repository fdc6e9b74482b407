import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Every file name below the state folder. Nothing else in the project spells one. */
export interface StatePaths {
  /** `$SMOLVM_HOME`, else `~/.smolvm`. */
  readonly home: string;
  readonly keys: string;
  readonly clientKey: string;
  readonly clientKeyPublic: string;
  readonly images: string;
  readonly templates: string;
  readonly machines: string;
  readonly cache: string;
  /** Downloads by their SHA-256. */
  readonly downloads: string;
  /** What was found out about this host by trying. */
  readonly verdicts: string;
  /** What each QEMU of this host said that it can do. */
  readonly qemuFeatures: string;
}

export function statePaths(env: NodeJS.ProcessEnv = process.env): StatePaths {
  const home = env.SMOLVM_HOME ? resolve(env.SMOLVM_HOME) : join(homedir(), ".smolvm");
  const cache = join(home, "cache");
  return {
    home,
    keys: join(home, "keys"),
    clientKey: join(home, "keys", "id_ed25519"),
    clientKeyPublic: join(home, "keys", "id_ed25519.pub"),
    images: join(home, "images"),
    templates: join(home, "templates"),
    machines: join(home, "vms"),
    cache,
    downloads: join(cache, "downloads"),
    verdicts: join(cache, "accelerators.json"),
    qemuFeatures: join(cache, "qemu-features.json"),
  };
}

/** The files of one image. */
export interface ImagePaths {
  readonly folder: string;
  readonly manifest: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly rootfs: string;
}

export function imagePaths(state: StatePaths, folderName: string): ImagePaths {
  const folder = join(state.images, folderName);
  return {
    folder,
    manifest: join(folder, "image.json"),
    kernel: join(folder, "vmlinux"),
    initramfs: join(folder, "initramfs.cpio"),
    rootfs: join(folder, "rootfs.ext4"),
  };
}

/** The files of one machine. */
export interface MachinePaths {
  readonly folder: string;
  readonly record: string;
  readonly disk: string;
  readonly initramfs: string;
  readonly knownHosts: string;
}

/** The record in a machine's folder, wherever that folder stands. */
export function recordFile(folder: string): string {
  return join(folder, "machine.json");
}

export function machinePaths(state: StatePaths, id: string): MachinePaths {
  const folder = join(state.machines, id);
  return {
    folder,
    record: recordFile(folder),
    disk: join(folder, "disk.qcow2"),
    initramfs: join(folder, "initramfs.cpio"),
    knownHosts: join(folder, "known_hosts"),
  };
}

/** Where an image is made. Names with a dot in front are never taken for an image. */
export interface ImageBuildPaths {
  /** Held while somebody makes this image. */
  readonly lock: string;
  /** In the images' folder: half-made images, which belong to the holder of the lock. */
  readonly draftPrefix: string;
  /** In the images' folder: images that were found damaged. */
  readonly damagedPrefix: string;
}

/** `stem` is an image's name and architecture: "debian-x86_64". */
export function imageBuildPaths(state: StatePaths, stem: string): ImageBuildPaths {
  return {
    lock: join(state.images, `.lock-${stem}`),
    draftPrefix: `.draft-${stem}-`,
    damagedPrefix: `.damaged-${stem}-`,
  };
}

/** What is only needed while an image is made, in its draft's folder. */
export function builderPaths(draftFolder: string): { readonly initramfs: string; readonly packages: string } {
  return { initramfs: join(draftFolder, "builder.cpio"), packages: join(draftFolder, "packages.tar") };
}
