import { rmdir } from "node:fs/promises";
import { endProcess, findOwned } from "../host/owned-processes.ts";
import type { StoredMachine } from "./machine-folder.ts";
import type { StatePaths } from "./paths.ts";

/** Ends what runs of a machine whose holder is gone, and removes what the host's kernel holds of it. */
export async function endProcessesOf(state: StatePaths, { paths, record }: StoredMachine): Promise<void> {
  const boot = "boot" in record ? record.boot : null;
  const owned = (await findOwned(state.machines)).filter(({ folder }) => folder === paths.folder);
  for (const process of [...(boot ? [boot.qemu] : []), ...owned]) await endProcess(process);
  if (boot?.cgroup) await rmdir(boot.cgroup).catch(() => {}); // its last process may be dying: `prune` comes again
}
