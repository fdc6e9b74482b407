import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { quoteText } from "./quote.ts";

/** The scripts of src/guest that are sent with an exec request, without what only a reader of the source needs. */
export function readGuestScript(
  name: "exec-terminal" | "exec-user" | "keeper" | "launch" | "leave-shell" | "worker",
): string {
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

/** An exec request: the user's login shell, of whatever language, hands the script to /bin/sh. */
export function formatRequest(script: string, parameters: readonly string[]): string {
  return `exec /bin/sh -c ${[script, "sh", ...parameters].map(quoteText).join(" ")}`;
}

const EVALUATE = `-c 'eval "$__script"'`;

/**
 * As `formatRequest`, for what lives on: in a session of its own, and with its script in the environment, so that its
 * command line is short. The login shell is taken for a POSIX one until it proves to be another, which saves an exec.
 */
export function formatWorkerRequest(parameters: readonly string[], isForeign: boolean): string {
  const script = readGuestScript("worker");
  if (isForeign)
    return `exec /bin/sh -c ${[readGuestScript("launch"), script, ...parameters].map(quoteText).join(" ")}`;
  return `__script=${quoteText(script)} exec setsid /bin/sh ${EVALUATE} sh ${parameters.map(quoteText).join(" ")}`;
}

/** As above, but at two of the guest's serial ports, where it outlives its connection. */
export function formatLeaveRequest(ports: readonly string[], parameters: readonly string[]): string {
  const words = [readGuestScript("leave-shell"), readGuestScript("worker"), ...ports, ...parameters];
  return `exec /bin/sh -c ${words.map(quoteText).join(" ")}`;
}

/** bash and busybox can hold deadlines, dash can't. */
export function formatKeeperRequest(parameters: readonly string[]): string {
  const words = parameters.map(quoteText).join(" ");
  const choose = `command -v bash >/dev/null&&exec bash ${EVALUATE} sh "$@";exec /bin/sh ${EVALUATE} sh "$@"`;
  return `exec /bin/sh -c ${quoteText(`export __script="$0";${choose}`)} ${quoteText(readGuestScript("keeper"))} ${words}`;
}

/** Tells apart the versions of what runs in a guest to read commands: a shell that waits must understand what it is told. */
export function scriptsDigest(): string {
  const scripts = [readGuestScript("worker"), readGuestScript("leave-shell")];
  return createHash("sha256").update(scripts.join("\0")).digest("hex").slice(0, 16);
}
