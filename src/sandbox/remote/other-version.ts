import { basename } from "node:path";
import { SmolVMError } from "../../errors.ts";
import { findHolder } from "../../host/lock.ts";
import { isAlive } from "../../host/process-identity.ts";
import type { MachinePaths } from "../../state/paths.ts";

/**
 * SmolVMError "OTHER_VERSION". A supervisor of any version shuts its guest down when it is told to end, so nobody needs the version
 * that is gone. Its id is told only where it means that very process here.
 */
export async function otherVersionError(how: string, { folder, lock }: MachinePaths): Promise<SmolVMError> {
  const supervisor = await findHolder(lock).catch(() => undefined);
  const pid = supervisor && (await isAlive(supervisor)) ? supervisor.pid : null;
  const orEnd = pid === null ? "" : `, or end its supervisor, which shuts the guest down: kill ${pid}`;
  const message = `Machine "${basename(folder)}" is held by another version of smolvm: ${how}.`;
  return new SmolVMError("OTHER_VERSION", message, {
    remediation: `Stop the machine with that version${orEnd}. Then this one can start it.`,
    details: { pid },
  });
}
