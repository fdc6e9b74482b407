import * as v from "valibot";
import * as classes from "../../errors.ts";

const ErrorSchema = v.object({
  name: v.string(),
  code: v.string(),
  message: v.string(),
  remediation: v.optional(v.string()),
  details: v.optional(v.record(v.string(), v.unknown()), {}),
  /** What a class has besides: a command line, what was printed. */
  facts: v.optional(v.record(v.string(), v.unknown()), {}),
});

const COMMON: ReadonlySet<string> = new Set([
  "name",
  "code",
  "message",
  "remediation",
  "details",
  "cause",
  "stack",
]);

/** An error as it goes to another process. */
export function encodeError(error: unknown): unknown {
  if (!(error instanceof classes.SmolVMError))
    return { name: "SmolVMError", code: "INTERNAL", message: String((error as Error)?.stack ?? error) };
  const { name, code, message, remediation, details } = error;
  const facts = Object.fromEntries(Object.entries(error).filter(([key]) => !COMMON.has(key)));
  return { name, code, message, remediation, details, facts };
}

/** The same error, of the same class, as it came from there. */
export function decodeError(value: unknown): classes.SmolVMError {
  const decoded = v.safeParse(ErrorSchema, value);
  if (!decoded.success)
    return new classes.SmolVMError(
      "INTERNAL",
      "The process that holds the machine sent an error that can't be read.",
    );
  const { name, code, message, remediation, details, facts } = decoded.output;
  const error = new classes.SmolVMError(code, message, { remediation, details });
  const known = Object.entries(classes).find(([each]) => each === name)?.[1];
  if (known) Object.setPrototypeOf(error, known.prototype);
  error.name = name;
  return Object.assign(error, facts);
}
