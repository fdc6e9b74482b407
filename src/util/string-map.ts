import { refuse } from "./options.ts";

/** Names and texts. What it inherits is no part of it: a name such as "constructor" may or may not be there as well. */
export type StringMap = Readonly<Record<string, string>>;

/** Whether it is an object of names and strings; a `Map`, whose entries nobody would see, is none. */
export function isStringMap(value: unknown): value is StringMap {
  return (
    Object.prototype.toString.call(value) === "[object Object]" &&
    Object.values(value as object).every((each) => typeof each === "string")
  );
}

/** A checked copy, with every name that it had: "__proto__" too. ValidationError. */
export function parseStringMap(value: unknown, option: string): StringMap {
  if (isStringMap(value)) return copyStringMap(value);
  throw refuse(option, value, "an object whose values are strings");
}

/** For decoders of data from outside: the usual ones leave out "__proto__", "constructor" and "prototype". */
export function copyStringMap(map: StringMap): StringMap {
  return Object.fromEntries(Object.entries(map));
}

export function hasEntry(map: StringMap, key: string, value: string): boolean {
  return Object.hasOwn(map, key) && map[key] === value;
}
