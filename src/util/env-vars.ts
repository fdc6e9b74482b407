import { refuse } from "./options.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A checked copy of `vars`; ValidationError names the variable that no shell could hold. */
export function checkEnvVars(vars: unknown, option: string): Readonly<Record<string, string>> {
  if (typeof vars !== "object" || vars === null || Array.isArray(vars)) {
    throw refuse(option, vars, "an object of names and string values");
  }
  for (const [name, value] of Object.entries(vars)) {
    checkEnvName(name, option);
    if (typeof value !== "string") throw refuse(`${option}.${name}`, value, "a string");
    if (value.includes("\0")) throw refuse(`${option}.${name}`, value, "a string without NUL characters");
  }
  return { ...(vars as Record<string, string>) };
}

/** ValidationError unless `name` is a letter or _ followed by letters, digits and _. */
export function checkEnvName(name: unknown, option: string): asserts name is string {
  if (typeof name === "string" && NAME.test(name)) return;
  throw refuse(`a name in ${option}`, name, "letters, digits and _, not beginning with a digit");
}
