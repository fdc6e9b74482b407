import { NoFileError } from "../host/no-file.ts";
import { MOST_RECORD_BYTES, readText } from "../host/read-file.ts";
import { DamageError } from "./damage.ts";

/** The text of a record. DamageError where no record is what stands there; else what the system says. */
export async function readRecord(path: string): Promise<string> {
  return readText(path, MOST_RECORD_BYTES).catch((error) => {
    throw asDamage("record", error);
  });
}

/** A file of that name in the folder of something saved is none: its content need not be read to know that it is damaged. */
export function asDamage(name: string, error: unknown): unknown {
  return error instanceof NoFileError
    ? new DamageError(`its ${name} ${error.problem}`, { cause: error })
    : error;
}
