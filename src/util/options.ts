import { distance } from "fastest-levenshtein";
import { ValidationError } from "../errors.ts";

/** Refuses a value that is no object of options, and any key not in `known`, naming the nearest known one. */
export function checkOptionKeys(given: unknown, known: readonly string[], what: string): void {
  if (given === undefined) return;
  // Of a Map or a Promise nobody would see what it holds.
  if (typeof given !== "object" || given === null || Array.isArray(given) || kindOf(given)?.isBuiltIn) {
    throw new ValidationError(`${what} takes one object of options; given ${describe(given)}.`);
  }
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue;
    const nearest = OTHER_WORDS.get(key)?.find((each) => known.includes(each)) ?? nearestOf(key, known);
    throw new ValidationError(
      `${what} has no option ${JSON.stringify(key)}${nearest ? `; did you mean "${nearest}"?` : "."} Known: ${known.join(", ")}.`,
      { details: { option: key, nearest, known } },
    );
  }
}

/** What an option is called elsewhere: by the flags of the command line, by other programs. */
const OTHER_WORDS: ReadonlyMap<string, readonly string[]> = new Map([
  ["memory", ["memSizeMib", "memoryMib"]],
  ["mem", ["memSizeMib", "memoryMib"]],
  ["memoryMib", ["memSizeMib"]],
  ["cpus", ["vcpuCount"]],
  ["cpu", ["vcpuCount", "cpus"]],
  ["vcpus", ["vcpuCount", "cpus"]],
  ["disk", ["diskSizeMib"]],
  ["hostMemory", ["hostLimits", "memoryMib"]],
  ["hostCpus", ["hostLimits", "cpus"]],
  ["port", ["ports"]],
  ["label", ["labels"]],
  ["cols", ["columns"]],
]);

/** Refuses what is neither a function nor left out. */
export function checkFunction(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") throw refuse(option, value, "a function");
}

/** Null where it was left out. */
export function parseSignal(signal: unknown): AbortSignal | null {
  if (signal === undefined) return null;
  if (signal instanceof AbortSignal) return signal;
  throw refuse("signal", signal, "an AbortSignal");
}

/** The known word that is nearest to `word`, if one is near enough to be meant. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: editsBetween(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  const length = Math.max(word.length, best?.candidate.length ?? 0);
  return best && best.edits <= Math.max(1, Math.floor(length / 3)) ? best.candidate : undefined;
}

/** Letters in another order, and the beginning of a word, are one slip. */
function editsBetween(word: string, other: string): number {
  const edits = distance(word, other);
  const isBegun = word.length >= 3 && other.startsWith(word);
  const sorted = (text: string) => [...text].sort().join("");
  return edits > 1 && (isBegun || sorted(word) === sorted(other)) ? 1 : edits;
}

/** A value as an error message shows it: short, and never throwing. */
function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}…` : value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "object" && value !== null) return describeObject(value);
  return String(value);
}

function describeObject(value: object): string {
  const kind = kindOf(value);
  if (kind === null) return "an object";
  if (!kind.isBuiltIn) return `an instance of ${kind.name}`;
  return `${/^[AEIO]/.test(kind.name) ? "an" : "a"} ${kind.name}`;
}

/** The class of what is more than a plain object; null where it has none, or can't be asked. */
function kindOf(value: object): { readonly name: string; readonly isBuiltIn: boolean } | null {
  try {
    const made: unknown = Object.getPrototypeOf(value)?.constructor;
    const name = typeof made === "function" ? String(made.name).slice(0, 80) : "";
    // By name: each realm has an Object of its own.
    if (name === "" || name === "Object") return null;
    return { name, isBuiltIn: Reflect.get(globalThis, name) === made };
  } catch {
    return null; // a Proxy may throw at each question
  }
}

export function refuse(option: string, value: unknown, allowed: string): ValidationError {
  return new ValidationError(`${option} must be ${allowed}; given ${describe(value)}.`, {
    details: { option, given: value, allowed },
  });
}
