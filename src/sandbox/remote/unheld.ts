import { SmolVMError, VMStateError } from "../../errors.ts";
import { findHolder } from "../../host/lock.ts";
import { endProcess } from "../../host/owned-processes.ts";
import type { ProcessIdentity } from "../../host/process-identity.ts";
import {
  findMachine,
  isBad,
  judgeOwner,
  removeIfFree,
  removeMachineFolder,
  requireOurMachine,
  withTakeover,
} from "../../state/machine-folder.ts";
import { endProcessesOf } from "../../state/machine-processes.ts";
import type { StoredMachine } from "../../state/machine-record.ts";
import type { StatePaths } from "../../state/paths.ts";
import { quoteWord } from "../../util/quote.ts";
import { badRecordError } from "./bad-record.ts";

/**
 * Removes a machine to whose holder there is no way: nobody holds it, or its supervisor does not answer and is ended. SmolVMError
 * "UNRESPONSIVE" where it belongs to a program that lives: that is not ours to end. One that is gone, or another one that has its
 * name by now, is fine.
 */
export async function removeUnheld(state: StatePaths, name: string, id: string): Promise<void> {
  if (!(await findThis(state, name, id))) return;
  await withTakeover(state, name, async () => {
    const found = await findThis(state, name, id);
    if (!found) return;
    if (isBad(found.record)) await requireOurMachine(found.paths);
    await endHolder(found);
    if (isBad(found.record) || found.record.spec.persistent) return await removeUnlessHeld(state, found);
    await endProcessesOf(state, found);
    await removeMachineFolder(found.paths);
  });
}

async function findThis(state: StatePaths, name: string, id: string): Promise<StoredMachine | undefined> {
  const found = await findMachine(state, name);
  if (!found) return undefined;
  if (!isBad(found.record)) return found.record.spec.id === id ? found : undefined;
  if (found.record.isNewer) throw badRecordError(name, found.paths, found.record);
  return found;
}

async function endHolder({ name, paths, record }: StoredMachine): Promise<void> {
  // By the lock: until a supervisor has written down that it is there, the record names the program that makes the machine.
  if (isBad(record) || record.spec.persistent) return endIfAny(await findHolder(paths.lock));
  const { life, why } = await judgeOwner(record, paths);
  if (record.owner === null || life === "dead") return;
  const { pid } = record.owner;
  const isStarting = record.status.phase === "starting";
  const how = isStarting ? "is still starting it" : "does not answer";
  throw new SmolVMError(
    "UNRESPONSIVE",
    life === "alive"
      ? `Machine "${name}" belongs to process ${pid}, which ${how}.`
      : `Machine "${name}" may belong to a process that lives, because ${why}.`,
    {
      remediation:
        life === "alive"
          ? `End that process, and the machine goes with it: kill ${pid}`
          : `Delete it where its program runs; where you know that this has ended: rm -r ${quoteWord(paths.folder)}`,
      details: { pid },
    },
  );
}

async function endIfAny(holder: ProcessIdentity | undefined): Promise<void> {
  if (holder) await endProcess(holder);
}

async function removeUnlessHeld(state: StatePaths, machine: StoredMachine): Promise<void> {
  if (await removeIfFree(state, machine)) return;
  throw new VMStateError(`Machine "${machine.name}" is being started by another process at this moment.`, {
    remediation: "Try again.",
  });
}
