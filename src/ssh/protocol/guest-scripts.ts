import { createHash } from "node:crypto";
import { readPackageFileNow } from "../../host/package-file.ts";
import { quoteText } from "../../util/quote.ts";

/** The scripts of src/guest that are sent with an exec request, without what only a reader of the source needs. */
export function readGuestScript(
  name: "exec-terminal" | "keeper" | "leave-shell" | "start" | "worker",
): string {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const files = name === "start" ? ["start", "languages"] : [name];
  const text = files
    .map((file) => readPackageFileNow(new URL(`../../guest/${file}.sh`, import.meta.url)).toString())
    .join("");
  const code = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .join("\n");
  loaded.set(name, code);
  return code;
}

const loaded = new Map<string, string>();

/** A shell of ours with the image's root; what is ours is found from its working directory. Namespaces, where there are some, are entered here. */
const IN_IMAGE = "nsenter -r/image smolvm/busybox sh";

/** An exec request for our own root. */
export function formatRequest(script: string, parameters: readonly string[]): string {
  return `exec sh -c ${quoteAll([script, "sh", ...parameters])}`;
}

/** As above, for the image's root. */
export function formatImageRequest(script: string, parameters: readonly string[]): string {
  return `exec ${IN_IMAGE} -c ${quoteAll([script, "sh", ...parameters])}`;
}

const EVALUATE = `-c 'eval "$__script"' sh`;

/** For what lives on: in a session of its own, and with its script in the environment, so that its command line is short. */
export function formatWorkerRequest(parameters: readonly string[]): string {
  const script = quoteText(readGuestScript("worker"));
  return `__script=${script} exec setsid ${IN_IMAGE} ${EVALUATE} ${quoteAll(parameters)}`;
}

/** As above, but at two of the guest's serial ports, where it outlives its connection. */
export function formatLeaveRequest(ports: readonly string[], parameters: readonly string[]): string {
  const words = [readGuestScript("leave-shell"), readGuestScript("worker"), ...ports, ...parameters];
  return `exec sh -c ${quoteAll(words)}`;
}

export function formatKeeperRequest(parameters: readonly string[]): string {
  return `__script=${quoteText(readGuestScript("keeper"))} exec sh ${EVALUATE} ${quoteAll(parameters)}`;
}

function quoteAll(words: readonly string[]): string {
  return words.map(quoteText).join(" ");
}

/** Tells apart the versions of what runs in a guest to read commands: a shell that waits must understand what it is told. */
export function scriptsDigest(): string {
  const scripts = [readGuestScript("start"), readGuestScript("worker"), readGuestScript("leave-shell")];
  return createHash("sha256").update(scripts.join("\0")).digest("hex").slice(0, 16);
}
