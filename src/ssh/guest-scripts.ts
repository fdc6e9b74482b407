import { readFileSync } from "node:fs";
import { quoteText } from "./quote.ts";

/** The scripts of src/guest that are sent with an exec request, without what only a reader of the source needs. */
export function readGuestScript(name: "exec-boot" | "exec-terminal" | "exec-user" | "keeper"): string {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(new URL(`../guest/${name}.sh`, import.meta.url), "utf8");
  const code = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .join("\n");
  loaded.set(name, code);
  return code;
}

const loaded = new Map<string, string>();

/**
 * An exec request that runs `code` with these parameters. The server hands it to the user's login shell, which is
 * taken for a POSIX one until it proves to be another ("foreign"): then /bin/sh is started first, which costs an exec.
 */
export function formatRequest(code: string, parameters: readonly string[], isForeign: boolean): string {
  const words = parameters.map(quoteText).join(" ");
  return isForeign ? `exec /bin/sh -c ${quoteText(code)} sh ${words}` : `set -- ${words}\n${code}`;
}
