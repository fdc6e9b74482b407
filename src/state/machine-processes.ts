import { rmdir } from "node:fs/promises";
import { SmolVMError } from "../errors.ts";
import { endProcess, findOwned } from "../host/owned-processes.ts";
import { here } from "../host/place.ts";
import type { ProcessIdentity } from "../host/process-identity.ts";
import type { StoredMachine } from "./machine-record.ts";
import type { StatePaths } from "./paths.ts";

/** Ends what runs of a machine whose holder is gone, and removes what the host's kernel holds of it. Throws where some of it goes on. */
export async function endProcessesOf(
  state: StatePaths,
  { name, paths, record }: StoredMachine,
): Promise<void> {
  const boot = "boot" in record ? record.boot : null;
  const owned = (await findOwned(state.machines)).filter(({ folder }) => folder === paths.folder);
  for (const process of [...(boot ? [boot.qemu] : []), ...owned]) {
    if ((await endProcess(process)) || !isInSight(process)) continue;
    throw new SmolVMError("PROCESS_LIVES", `Process ${process.pid} of machine "${name}" can't be ended.`, {
      remediation: `End it: kill -KILL ${process.pid}`,
      details: { pid: process.pid },
    });
  }
  if (boot?.cgroup) await rmdir(boot.cgroup).catch(() => {}); // its last process may be dying: `prune` comes again
}

/** What runs in another container is that one's to end; its disk is kept from others by a lock of QEMU's own. */
function isInSight({ bootId, namespaces }: ProcessIdentity): boolean {
  const place = here();
  return bootId === place.bootId && namespaces === place.namespaces;
}
