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

/** The files of a machine that was saved, wherever its folder stands. */
export interface SavedMachinePaths {
  readonly folder: string;
  readonly record: string;
  /** As large as the guest's memory, with holes. */
  readonly memory: string;
  /** Processors and devices. */
  readonly state: string;
  /** Absent for a machine without a disk. */
  readonly disk: string;
  /** Only there while it is made. */
  readonly initramfs: string;
}

/** A template is one kind of saved machine; its record is called after the kind. */
export function savedMachinePaths(folder: string, kind: "template"): SavedMachinePaths {
  return {
    folder,
    record: join(folder, `${kind}.json`),
    memory: join(folder, "memory"),
    state: join(folder, "state"),
    disk: join(folder, "disk.qcow2"),
    initramfs: join(folder, "initramfs.cpio"),
  };
}

/** Where templates lie and are made. Names with a dot in front are never taken for a template. */
export interface TemplatePaths {
  readonly template: SavedMachinePaths;
  /** Held while somebody makes this template. */
  readonly lock: string;
  /** In the templates' folder: half-made ones, which belong to the holder of the lock. */
  readonly draftPrefix: string;
}

const DRAFT = ".draft-";

export function templatePaths(state: StatePaths, key: string): TemplatePaths {
  return {
    template: savedMachinePaths(join(state.templates, key), "template"),
    lock: join(state.templates, `.lock-${key}`),
    draftPrefix: `${DRAFT}${key}-`,
  };
}

/** In the templates' folder: those that nobody shall find any more. */
export const DISCARDED_PREFIX = ".discarded-";

/** The key of the template of which a folder is a draft; undefined for any other name. */
export function keyOfDraft(name: string): string | undefined {
  return /^\.draft-([0-9a-f]+)-[^-]+$/.exec(name)?.[1];
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
