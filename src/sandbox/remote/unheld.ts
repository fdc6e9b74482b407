import { SmolVMError } from "../../errors.ts";
import { tryLock } from "../../host/lock.ts";
import { endProcess } from "../../host/owned-processes.ts";
import { findMachine, isBad, removeMachineFolder, type StoredMachine } from "../../state/machine-folder.ts";
import type { StatePaths } from "../../state/paths.ts";
import { endProcessesOf, isHeld } from "../leftovers.ts";

/**
 * Removes a machine to whose holder there is no way: nobody holds it, or its supervisor does not answer and is ended. SmolVMError
 * "UNRESPONSIVE" where it belongs to a program that lives: that is not ours to end.
 */
export async function removeUnheld(state: StatePaths, name: string, id: string): Promise<void> {
  const found = await findMachine(state, name);
  if (!found || (!isBad(found.record) && found.record.spec.id !== id)) return;
  await endHolder(found);
  const release =
    isBad(found.record) || found.record.spec.persistent ? await tryLock(found.paths.lock) : async () => {};
  if (!release) {
    throw new SmolVMError(
      "VM_STATE",
      `Machine "${name}" is being started by another process at this moment.`,
      {
        remediation: "Try again.",
      },
    );
  }
  await endProcessesOf(state, found);
  await removeMachineFolder(state, found.paths);
}

async function endHolder({ name, record }: StoredMachine): Promise<void> {
  if (isBad(record) || record.owner === null || !(await isHeld(record))) return;
  const { pid } = record.owner;
  if (!record.spec.persistent) {
    throw new SmolVMError(
      "UNRESPONSIVE",
      `Machine "${name}" belongs to process ${pid}, which does not answer.`,
      {
        remediation: `End that process, and the machine goes with it: kill ${pid}`,
        details: { pid },
      },
    );
  }
  await endProcess(record.owner);
}
