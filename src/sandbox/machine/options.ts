import type { Progress } from "../../image/progress.ts";
import type { Duration } from "../../util/duration.ts";

/** Where a machine stands; src/sandbox/machine/status.ts has the transitions. */
export type { VMStatus } from "./status.ts";

/** Takes what the library would otherwise keep to itself; `console` fits. */
export interface Logger {
  debug?(message: string): void;
  warn?(message: string): void;
}

export interface SmolVMOptions {
  /** `^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`; absent: a readable generated one. */
  name?: string;
  /** "debian" (default) or "tiny" (busybox and an SSH server only, no disk). */
  image?: string;
  /** Memory in MiB: 512 by default, 128 ("tiny": 96, your own kernel: 64) to 65536. */
  memSizeMib?: number;
  /** Virtual CPUs: 1 by default, 1 to 32. */
  vcpuCount?: number;
  /** Disk size in MiB: 4096 by default, at most 1 TiB, sparse; the guest's file system is grown to it. Without effect for "tiny", which has no disk. */
  diskSizeMib?: number;
  /** Environment variables of login shells, as `setEnvVars` right after boot. */
  env?: Record<string, string>;
  /** "open" (default): outgoing connections work; "off": nothing but the forwarded ports. */
  network?: "open" | "off";
  /** Guest ports to reach from the host's 127.0.0.1; without `host` a free port is taken. */
  ports?: readonly { guest: number; host?: number }[];
  labels?: Record<string, string>;
  /** False (default): the machine dies with the process that made it. True: it lives until it is deleted, whoever made it. */
  persistent?: boolean;
  /** For how long it may run after each start; then an ephemeral one is deleted, a persistent one stopped. Default: without an end. */
  ttl?: Duration;
  /** The same for how long it may run with nobody connected to it and no command under way. Default: without an end. */
  idleTimeout?: Duration;
  /** What its QEMU may take of the host, in a cgroup v2 of its own. HostError where this user may not make one. Default: no limit. */
  hostLimits?: HostLimits;
  /** "off" boots cold; "auto" (default) may start from a memory snapshot. */
  template?: "auto" | "off";
  /** "auto" (default) tries what this host has; a named one is used or refused. */
  accelerator?: "auto" | "kvm" | "hvf" | "tcg";
  /** The guest user commands run as: "root" by default. */
  sshUser?: string;
  /** An OpenSSH private key; absent: `<home>/keys/id_ed25519`, made on first use. */
  sshKeyPath?: string;
  logger?: Logger;
  onProgress?: (progress: Progress) => void;
  /** Aborting it ends a start that is under way. */
  signal?: AbortSignal;
}

export interface HostLimits {
  /** Memory in MiB that QEMU may use, the guest's included: `memSizeMib` at least; beyond it the host's kernel ends QEMU. */
  memoryMib?: number;
  /** Processors' time: 0.5 is half of one processor. */
  cpus?: number;
}

/** A machine with your own kernel and disk. The disk is never written to: the machine works on an overlay. */
export interface VMConfig extends SmolVMOptions {
  /** An ELF vmlinux, a bzImage or an arm64 Image. */
  kernelPath: string;
  /** Absent: with `init=/init` in the boot arguments the project's own initramfs, else none. */
  initrdPath?: string;
  /** A raw or qcow2 disk image. */
  rootfsPath: string;
  /** The kernel's command line. Without `init=/init` the machine runs but takes no commands. */
  bootArgs: string;
}

export interface StartOptions {
  /** How long it may take from the call, for everything but the build of a missing image: 120 s by default. */
  timeout?: Duration;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

export interface StopOptions {
  /** How long the guest may take to shut down before it is ended: 10 s by default. */
  timeout?: Duration;
}

export interface CopyCallOptions {
  /** How long it may take, other copies that are waited for included: 120 s by default. */
  timeout?: Duration;
  signal?: AbortSignal;
}
