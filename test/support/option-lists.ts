import { readSources, withoutComments } from "../setup/sources.ts";

/** Which options each call takes, from the place where it refuses the others: `checkOptionKeys(options, KEYS, "run()")`. */
export function readOptionLists(): ReadonlyMap<string, readonly string[]> {
  const lists = new Map<string, readonly string[]>();
  for (const { path, text } of readSources("src", [".ts"])) {
    const code = withoutComments(text);
    for (const [, listed = "", name = ""] of code.matchAll(
      /checkOptionKeys\(\s*\w+,\s*(\[[^\]]*\]|\w+),\s*["`]([^"`]+)["`]/g,
    ))
      lists.set(name.replace(/\[.*/, ""), valuesOf(listed, code, path));
    const calls = code.match(/(?<!function )checkOptionKeys\(/g)?.length ?? 0;
    const read = code.match(/checkOptionKeys\(\s*\w+,\s*(?:\[[^\]]*\]|\w+),\s*["`]/g)?.length ?? 0;
    if (calls !== read) throw new Error(`${path} lists options in a way that this can't read`);
  }
  return lists;
}

/** The words of an array, those of the constants included that it spreads. */
function valuesOf(expression: string, code: string, path: string): string[] {
  const names = expression.startsWith("[")
    ? [...expression.matchAll(/\.\.\.(\w+)/g)].map((match) => match[1])
    : [expression];
  const spread = names.flatMap((name) => {
    const body = new RegExp(`const ${name}\\b[^=]*= \\[(.*?)\\n?\\](?: as const|;)`, "s").exec(code)?.[1];
    if (body === undefined) throw new Error(`${path} has no constant ${name}`);
    return wordsOf(body);
  });
  return [...wordsOf(expression), ...spread];
}

function wordsOf(code: string): string[] {
  return [...code.matchAll(/"(\w+)"/g)].map((match) => match[1] ?? "");
}

/** The names that src/index.ts exports, types included. */
export function readExports(): string[] {
  const [index] = readSources("src", ["index.ts"]).filter(({ path }) => path === "src/index.ts");
  return [...withoutComments(index?.text ?? "").matchAll(/export (?:type )?\{([^}]*)\}/g)]
    .flatMap((match) => (match[1] ?? "").split(","))
    .map((name) => name.replace(/^\s*type\s+/, "").trim())
    .filter((name) => name !== "");
}

/** The options that the types of src/index.ts have, by the type: what an editor suggests. */
export function readOptionTypes(): ReadonlyMap<string, readonly string[]> {
  const exported = new Set(readExports());
  const types = new Map<string, readonly string[]>();
  for (const { text } of readSources("src/sandbox", [".ts"]))
    for (const [, name = "", body = ""] of withoutComments(text).matchAll(
      /export interface (\w+(?:Options|Filter|Config|Limits))\b[^{]*\{(.*?)\n\}/gs,
    ))
      if (exported.has(name))
        types.set(
          name,
          [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map((match) => match[1] ?? ""),
        );
  return types;
}
