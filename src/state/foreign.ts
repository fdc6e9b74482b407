import { readdir, stat } from "node:fs/promises";
import { basename } from "node:path";
import { SmolVMError } from "../errors.ts";
import { isLink } from "../host/no-file.ts";
import { unlessMissing } from "../host/whole-file.ts";
import { quoteText } from "../util/quote.ts";
import { diskBase, heldInitramfs, heldKernel, isDiskLayer, stampsFile } from "./paths.ts";

/**
 * A state folder may be one that has other things in it too, with names such as ours. SmolVMError "STATE" where a folder has no record and
 * something that is not ours: it is nobody's machine or snapshot, and not ours to remove.
 */
export async function requireOurs(folder: string, record: string, files: readonly string[]): Promise<void> {
  // A link is ours to remove: what it leads to stays.
  const foreign = isLink(folder) ? undefined : await findForeign(folder, record, files);
  if (foreign === undefined) return;
  throw new SmolVMError(
    "STATE",
    `${folder} is not removed: it has no ${basename(record)}, and ${JSON.stringify(foreign)} in it is not smolvm's.`,
    {
      remediation: `Give smolvm a folder of its own by SMOLVM_HOME. If you need nothing of this one: rm -r ${quoteText(folder)}`,
      details: { folder, foreign },
    },
  );
}

/** Undefined where all of it is ours. */
async function findForeign(
  folder: string,
  record: string,
  files: readonly string[],
): Promise<string | undefined> {
  const found = await stat(folder).catch(unlessMissing);
  if (found?.isFile()) return found.size > 0 ? basename(folder) : undefined;
  const names = (await readdir(folder).catch(unlessMissing)) ?? [];
  const ours = [record, ...files, ...SHARED.map((fileIn) => fileIn(folder))].map((path) => basename(path));
  return names.includes(basename(record)) ? undefined : names.find((name) => !isOneOf(name, ours));
}

const SHARED = [diskBase, heldKernel, heldInitramfs, stampsFile];

/** What is being written has a longer name. */
function isOneOf(name: string, ours: readonly string[]): boolean {
  return isDiskLayer(name) || ours.some((each) => name === each || name.startsWith(`${each}.`));
}
