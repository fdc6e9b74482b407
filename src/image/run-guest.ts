import type { Architecture } from "../util/architecture.ts";

/** A guest that does one task and powers itself off. Its disks are /dev/vda, /dev/vdb … in this order. */
export interface GuestTask {
  readonly arch: Architecture;
  readonly kernel: string;
  readonly initramfs: string;
  /** Goes behind what every guest gets. */
  readonly bootArgs: string;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly disks: readonly { readonly path: string; readonly format: "raw"; readonly readOnly: boolean }[];
  /** Each line of its console. */
  readonly onLine: (line: string) => void;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Resolves when the guest has said `smolvm: done` and powered off; rejects otherwise. */
export type RunGuest = (task: GuestTask) => Promise<void>;
