import type { Flag } from "../command.ts";

/** What the word that is being typed stands for. */
type Place =
  /** The value of a flag; `prefix` is what of the word comes before it: "--image=", or "". */
  | { readonly kind: "value"; readonly flag: Flag; readonly prefix: string }
  | { readonly kind: "flag" }
  | { readonly kind: "operand" }
  /** A word of the guest's command: nothing is known of it here. */
  | { readonly kind: "guest" };

interface Line {
  readonly place: Place;
  /** The operands before it. */
  readonly operands: readonly string[];
}

/** Reads the words behind a command's name as its grammar does. `passThrough`: all behind the first operand is the guest's. */
export function readLine(
  before: readonly string[],
  current: string,
  flags: readonly Flag[],
  passThrough: boolean,
): Line {
  const operands: string[] = [];
  let awaited: Flag | undefined;
  let isLiteral = false;
  for (const word of before) {
    if (awaited) awaited = undefined;
    else if (isLiteral || !word.startsWith("-")) operands.push(word);
    else if (word === "--") isLiteral = true;
    else awaited = flags.find((flag) => takesValue(flag) && isNamed(flag, word));
    isLiteral ||= passThrough && operands.length > 0;
  }
  return { place: placeOf(), operands };

  function placeOf(): Place {
    if (awaited) return { kind: "value", flag: awaited, prefix: "" };
    if (passThrough && operands.length > 0) return { kind: "guest" };
    if (isLiteral || !current.startsWith("-")) return { kind: "operand" };
    const [prefix] = /^--[^=]+=/.exec(current) ?? [];
    const flag = flags.find(
      (each) => prefix !== undefined && takesValue(each) && isNamed(each, prefix.slice(0, -1)),
    );
    return flag && prefix !== undefined ? { kind: "value", flag, prefix } : { kind: "flag" };
  }
}

/** The names of a flag in commander's notation: "-e, --env <NAME>" has "-e" and "--env". */
export function namesOfFlag({ flags }: Flag): string[] {
  return flags.split(/[ ,]+/).filter((word) => word.startsWith("-"));
}

/**
 * bash takes words apart at each "=": `--image=ti` are three. The flag and its value come apart, all else is put together; an "="
 * at the end has an empty value behind it.
 */
export function joinAssignments(words: readonly string[]): readonly string[] {
  const joined: string[] = [];
  words.forEach((word, index) => {
    const previous = joined.at(-1);
    const isFlag = previous?.startsWith("--") && !previous.includes("=");
    if (word === "=" && previous !== undefined && isFlag) {
      if (index === words.length - 1) joined.push("");
    } else if (previous !== undefined && (word === "=" || previous.endsWith("=")) && words.includes("=")) {
      joined.splice(-1, 1, `${previous}${word}`);
    } else joined.push(word);
  });
  return joined;
}

function takesValue({ flags }: Flag): boolean {
  return flags.includes("<");
}

function isNamed(flag: Flag, word: string): boolean {
  return namesOfFlag(flag).includes(word);
}
