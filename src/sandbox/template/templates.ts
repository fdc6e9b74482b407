import { DamageError } from "../../state/damage.ts";
import { type StatePaths, statePaths } from "../../state/paths.ts";
import {
  checkTemplate,
  discardTemplate,
  findTemplate,
  listStoredTemplates,
  pruneStoredTemplates,
} from "../../state/templates.ts";

/** A template as it lies on the disk. */
interface TemplateInfo {
  readonly key: string;
  /** The image's name. */
  readonly image: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly lastUsedAt: string;
  /** What its files take on the disk. */
  readonly sizeBytes: number;
  /** What it was made for, readable: other values need another template. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** Beyond this a template is worn: `unusedMs` for each, `bytes` for all together. */
export const TEMPLATE_LIMITS = { unusedMs: 30 * DAY_MS, bytes: 8 * 1024 ** 3 };

/** Every template, the one that was used last first. */
export async function listTemplates(state: StatePaths = statePaths()): Promise<TemplateInfo[]> {
  return (await listStoredTemplates(state)).map(({ record, bytes, lastUsedMs }) => ({
    key: record.key,
    image: record.image.name,
    createdAt: record.createdAt,
    lastUsedAt: new Date(lastUsedMs).toISOString(),
    sizeBytes: bytes,
    inputs: record.inputs,
  }));
}

/** Reads every template whole. Gives those that are proved to be damaged, and what is wrong. */
export async function checkTemplates(
  state: StatePaths,
): Promise<{ readonly folder: string; readonly reason: string }[]> {
  const damaged: { folder: string; reason: string }[] = [];
  for (const { record, paths } of await listStoredTemplates(state)) {
    try {
      const found = await findTemplate(state, record.key);
      if (found) await checkTemplate(found);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      damaged.push({ folder: paths.folder, reason: error.message });
    }
  }
  return damaged;
}

/** Removes templates that were not used for 30 days, and the longest unused while all together take more than 8 GiB. Machines are not touched. */
export async function pruneTemplates(state: StatePaths = statePaths()): Promise<string[]> {
  return pruneStoredTemplates(state, TEMPLATE_LIMITS);
}

/** Removes the templates of an image. Machines that were started from them need them no more. */
export async function removeTemplatesOf(state: StatePaths, image: string): Promise<void> {
  for (const { record } of await listStoredTemplates(state))
    if (record.image.name === image) await discardTemplate(state, record.key);
}
