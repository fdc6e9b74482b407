import { SmolVMError } from "../../errors.ts";
import { remedyForHost } from "../../host/remedies.ts";
import type { BadRecord } from "../../state/machine-record.ts";
import type { MachinePaths } from "../../state/paths.ts";

/** SmolVMError "RECORD_DAMAGED", or "NEWER_FORMAT" for one that is to be left alone. */
export function badRecordError(
  name: string,
  { folder }: MachinePaths,
  { problem, isNewer }: BadRecord,
): SmolVMError {
  const message = `Machine "${name}" can't be used: ${problem}.`;
  // What the host can't read now may be right.
  const [, word] = /^(E[A-Z]+): /.exec(problem) ?? [];
  const damagedRemedy = word
    ? remedyForHost(word)
    : `Its files are in ${folder}; delete it, disk and all, with: smolvm rm -f ${name}`;
  const remediation = isNewer
    ? "Use the later version of smolvm that wrote it; this one leaves it alone."
    : damagedRemedy;
  return new SmolVMError(isNewer ? "NEWER_FORMAT" : "RECORD_DAMAGED", message, {
    remediation,
    details: { name, folder },
  });
}
