import * as v from "valibot";
import { firstIssue } from "../util/first-issue.ts";
import { DamageError } from "./damage.ts";

/** What a record's text holds. DamageError. */
export function decodeRecord<S extends v.GenericSchema>(schema: S, text: string): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DamageError("its record is no JSON", { cause });
  }
  const decoded = v.safeParse(schema, value);
  if (decoded.success) return decoded.output;
  throw new DamageError(`its record is bad: ${firstIssue(decoded.issues)}`);
}
