import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** What .gitignore leaves out, and git's own folder. */
const LEFT_OUT = new Set([".git", "node_modules", "dist", "dist-bench", "coverage", "results"]);

/** A file by its path from the repository's root. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Every file of the repository below `folder` whose name ends with one of `endings`. */
export function readSources(folder = ".", endings: readonly string[] = [""]): SourceFile[] {
  return walk(join(REPOSITORY, folder))
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .map((path) => ({ path: relative(REPOSITORY, path), text: readFileSync(path, "utf8") }));
}

/** The modules that `file` imports, exports from, or loads on use: packages by name, files by their path from the root. */
export function importsOf(file: SourceFile): string[] {
  const code = withoutComments(file.text);
  const specifiers = [
    ...code.matchAll(/^\s*(?:import|export)\b[^;'"`]*?\bfrom\s*["']([^"']+)["']/gm),
    ...code.matchAll(/^\s*import\s*["']([^"']+)["']/gm),
    ...code.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g),
  ].map((match) => match[1] ?? "");
  return specifiers.map((name) => (name.startsWith(".") ? join(dirname(file.path), name) : name));
}

/** The text of all quoted strings and template literals, comments left out. */
export function stringsOf(file: SourceFile): string[] {
  const literals = withoutComments(file.text).matchAll(
    /"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`/g,
  );
  return [...literals].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** Comments become nothing; what looks like one inside a string stays. */
export function withoutComments(text: string): string {
  const tokens = /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replaceAll(tokens, (_, literal: string | undefined) => literal ?? "");
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (LEFT_OUT.has(entry.name) || entry.name.endsWith(".log")) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() ? [path] : [];
  });
}
