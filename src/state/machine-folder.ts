import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SmolVMError, VMAlreadyExistsError } from "../errors.ts";
import { isAlive, type ProcessIdentity, ProcessIdentitySchema } from "../host/process-identity.ts";
import { type MachinePaths, machinePaths, recordFile, type StatePaths } from "./paths.ts";

const FORMAT_VERSION = 1;
/** A draft without a record is younger than this while its maker is still writing it. */
const DRAFT_GRACE_MS = 60_000;

const RecordSchema = v.object({
  formatVersion: v.literal(FORMAT_VERSION),
  id: v.string(),
  name: v.string(),
  createdAt: v.string(),
  creator: ProcessIdentitySchema,
});

/** What a machine's folder says of it. */
type MachineRecord = v.InferOutput<typeof RecordSchema>;

/**
 * Makes the folder that holds a machine's name. It appears whole, record included, or not at all;
 * where the name is taken by a machine whose creator lives: VMAlreadyExistsError, and that one is untouched.
 */
export async function claimMachineFolder(
  state: StatePaths,
  machine: { readonly id: string; readonly name: string; readonly creator: ProcessIdentity },
): Promise<MachinePaths> {
  const paths = machinePaths(state, machine.name);
  await mkdir(state.machines, { recursive: true, mode: 0o700 });
  const draft = await mkdtemp(join(state.machines, ".draft-"));
  try {
    await writeFile(recordFile(draft), formatRecord(machine), { mode: 0o600 });
    await publish(draft, paths.folder, machine.name);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  return paths;
}

/** Removes a machine's folder and so frees its name; a folder that is gone already is fine. */
export async function removeMachineFolder(paths: MachinePaths): Promise<void> {
  await rm(paths.folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes what creators that died left behind. Returns the names it removed. */
export async function collectAbandoned(state: StatePaths): Promise<string[]> {
  const names = await readdir(state.machines).catch(() => []);
  const removed: string[] = [];
  for (const name of names) {
    const folder = join(state.machines, name);
    if (!(await isAbandoned(folder, name.startsWith(".draft-")))) continue;
    await rm(folder, { recursive: true, force: true });
    removed.push(name);
  }
  return removed;
}

function formatRecord(machine: { id: string; name: string; creator: ProcessIdentity }): string {
  const record: MachineRecord = {
    formatVersion: FORMAT_VERSION,
    id: machine.id,
    name: machine.name,
    createdAt: new Date().toISOString(),
    creator: machine.creator,
  };
  return `${JSON.stringify(record, null, 2)}\n`;
}

async function publish(draft: string, folder: string, name: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await rename(draft, folder);
    } catch (error) {
      if (!isTaken(error)) throw stateFolderError(folder, error);
      if (attempt > 0 || !(await isAbandoned(folder, false))) throw alreadyExists(name, folder);
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** True only where the record can be read and its creator is gone: what can't be understood is left alone. */
async function isAbandoned(folder: string, isDraft: boolean): Promise<boolean> {
  const record = await readRecord(folder);
  if (record) return !(await isAlive(record.creator));
  return isDraft && (await isOlderThanMs(folder, DRAFT_GRACE_MS));
}

async function readRecord(folder: string): Promise<MachineRecord | null> {
  try {
    const text = await readFile(recordFile(folder), "utf8");
    const decoded = v.safeParse(RecordSchema, JSON.parse(text));
    return decoded.success ? decoded.output : null;
  } catch {
    return null;
  }
}

async function isOlderThanMs(path: string, ageMs: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > ageMs;
}

function isTaken(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOTEMPTY" || code === "EEXIST";
}

function alreadyExists(name: string, folder: string): VMAlreadyExistsError {
  return new VMAlreadyExistsError(`A machine named "${name}" exists already.`, {
    remediation: "Choose another name, leave the name out to have one made, or delete that machine first.",
    details: { name, folder },
  });
}

function stateFolderError(folder: string, cause: unknown): SmolVMError {
  return new SmolVMError(
    "STATE",
    `The machine's folder ${folder} can't be made: ${(cause as Error).message}`,
    {
      remediation:
        "Check that the state folder (SMOLVM_HOME, else ~/.smolvm) is writable and its disk has space.",
      cause,
    },
  );
}
