import { userInfo } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { SmolVMError } from "../errors.ts";

/** Every file name below the state folder. Nothing else in the project spells one. */
export interface StatePaths {
  /** `$SMOLVM_HOME`, else `~/.smolvm`. */
  readonly home: string;
  readonly keys: string;
  readonly clientKey: string;
  readonly clientKeyPublic: string;
  readonly images: string;
  readonly templates: string;
  readonly snapshots: string;
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
  const home = env.SMOLVM_HOME ? resolve(env.SMOLVM_HOME) : join(homeOf(env), ".smolvm");
  const cache = join(home, "cache");
  return {
    home,
    keys: join(home, "keys"),
    clientKey: join(home, "keys", "id_ed25519"),
    clientKeyPublic: join(home, "keys", "id_ed25519.pub"),
    images: join(home, "images"),
    templates: join(home, "templates"),
    snapshots: join(home, "snapshots"),
    machines: join(home, "vms"),
    cache,
    downloads: join(cache, "downloads"),
    verdicts: join(cache, "accelerators.json"),
    qemuFeatures: join(cache, "qemu-features.json"),
  };
}

/** Never a folder of another's, nor one that changes with the working directory: an empty HOME is as none. */
function homeOf({ HOME }: NodeJS.ProcessEnv): string {
  const home = HOME || userHome();
  if (isAbsolute(home) && resolve(home) !== "/") return home;
  throw new SmolVMError(
    "STATE",
    `There is no home folder for machines and images: HOME is ${JSON.stringify(home)}.`,
    { remediation: "Set SMOLVM_HOME to a folder of yours, or HOME to your home folder." },
  );
}

/** As the host knows it; "" for a user that it does not know. */
function userHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    return "";
  }
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
  /** Held by the supervisor of a persistent machine. */
  readonly lock: string;
  /** Held by the one that changes the variables that are kept in the guest. */
  readonly environmentLock: string;
  /** Beside the folder: held while what nobody holds is removed, so that nobody takes the name during that. */
  readonly takeover: string;
  /** The socket at which the process that holds the machine takes orders. */
  readonly control: string;
  readonly disk: string;
  readonly initramfs: string;
  readonly knownHosts: string;
  readonly sshConfig: string;
  /** What the guest's console showed, what QEMU said, and what a supervisor had to say: each with what was before it. */
  readonly logs: Readonly<Record<LogSource, LogPaths>>;
}

type LogSource = "console" | "qemu" | "supervisor";

export interface LogPaths {
  readonly now: string;
  readonly older: string;
}

/** The record in a machine's folder, wherever that folder stands. */
export function recordFile(folder: string): string {
  return join(folder, "machine.json");
}

/**
 * The files of a disk, in the folder of a machine or a snapshot, from the lowest: the highest is written to, those below are
 * frozen. A folder has its own names for them, so that it is whole whatever becomes of others.
 */
export function diskLayer(folder: string, index: number): string {
  return join(folder, index === 0 ? "disk.qcow2" : `disk-${index}.qcow2`);
}

/** Whether a file of that name is such a layer, or is being made into one. */
export function isDiskLayer(name: string): boolean {
  return /^disk(-\d+)?\.qcow2(\.|$)/.test(name);
}

/** What the lowest layer lies on, in the folder of a machine or a snapshot: the very disk of its image. */
export function diskBase(folder: string): string {
  return join(folder, "base.img");
}

/** What else it takes to boot a machine, in the folder of a machine or a snapshot: the very files of its image. */
export function heldKernel(folder: string): string {
  return join(folder, "vmlinux");
}

export function heldInitramfs(folder: string): string {
  return join(folder, "base.cpio");
}

/** In the folder of something saved: how its files look by now, where that is not as its record says and they are right all the same. */
export function stampsFile(folder: string): string {
  return join(folder, "stamps.json");
}

export function machinePaths(state: StatePaths, id: string): MachinePaths {
  const folder = join(state.machines, id);
  return {
    folder,
    record: recordFile(folder),
    lock: join(folder, "lock"),
    environmentLock: join(folder, "environment.lock"),
    takeover: join(state.machines, `${LOCK_PREFIX}${id}`),
    control: join(folder, "control.sock"),
    disk: diskLayer(folder, 0),
    initramfs: join(folder, "initramfs.cpio"),
    knownHosts: join(folder, "known_hosts"),
    sshConfig: join(folder, SSH_CONFIG),
    logs: {
      console: logPaths(folder, "console"),
      qemu: logPaths(folder, "qemu"),
      supervisor: logPaths(folder, "supervisor"),
    },
  };
}

const SSH_CONFIG = "ssh_config";

/** What OpenSSH's client is to include: it finds the file of each machine that runs. */
export function sshConfigPattern(state: StatePaths): string {
  return join(state.machines, "*", SSH_CONFIG);
}

/** Beside machines, templates and images: the locks of those that somebody removes or makes. */
const LOCK_PREFIX = ".lock-";

/** The name of the lock that a file of that name is, or that somebody was trying to take; undefined for any other name. */
export function lockOf(name: string): string | undefined {
  return name.startsWith(LOCK_PREFIX) ? `.${name.slice(1).split(".")[0]}` : undefined;
}

function logPaths(folder: string, source: LogSource): LogPaths {
  return { now: join(folder, `${source}.log`), older: join(folder, `${source}.1.log`) };
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
  /** There where a clone of it did not come up the last time, and nobody knows why. */
  readonly doubt: string;
}

/** Templates and snapshots are saved machines; the record is called after the kind. */
export function savedMachinePaths(folder: string, kind: "template" | "snapshot"): SavedMachinePaths {
  return {
    folder,
    record: join(folder, `${kind}.json`),
    memory: join(folder, "memory"),
    state: join(folder, "state"),
    disk: diskLayer(folder, 0),
    initramfs: join(folder, "initramfs.cpio"),
    doubt: join(folder, "doubt"),
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
    lock: join(state.templates, `${LOCK_PREFIX}${key}`),
    draftPrefix: `${DRAFT}${key}-`,
  };
}

/** The key of the template of which a folder is a draft; undefined for any other name. */
export function keyOfDraft(name: string): string | undefined {
  return /^\.draft-([0-9a-f]+)-[^-]+$/.exec(name)?.[1];
}

/** Where snapshots lie and are made. Names with a dot in front are never taken for a snapshot. */
export function snapshotFolder(state: StatePaths, name: string): string {
  return join(state.snapshots, name);
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

/** The name and architecture of the image of which a folder is a draft; undefined for any other name. */
export function stemOfDraft(name: string): string | undefined {
  return /^\.draft-(.+)-[^-]+$/.exec(name)?.[1];
}

/** `stem` is an image's name and architecture: "debian-x86_64". */
export function imageBuildPaths(state: StatePaths, stem: string): ImageBuildPaths {
  return {
    lock: join(state.images, `${LOCK_PREFIX}${stem}`),
    draftPrefix: `.draft-${stem}-`,
    damagedPrefix: `.damaged-${stem}-`,
  };
}

/** What is only needed while an image is made, in its draft's folder. */
export function builderPaths(draftFolder: string): { readonly initramfs: string; readonly packages: string } {
  return { initramfs: join(draftFolder, "builder.cpio"), packages: join(draftFolder, "packages.tar") };
}
