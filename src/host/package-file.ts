import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { HostError } from "../errors.ts";
import { isMissing } from "./whole-file.ts";

/** A file that belongs to this package. HostError where the package is not whole. */
export async function readPackageFile(url: URL): Promise<Buffer> {
  return readFile(url).catch((error) => {
    throw explained(url, error);
  });
}

/** The same, at once. */
export function readPackageFileNow(url: URL): Buffer {
  try {
    return readFileSync(url);
  } catch (error) {
    throw explained(url, error);
  }
}

function explained(url: URL, error: unknown): unknown {
  if (!isMissing(error)) return error;
  return new HostError(`A file of smolvm itself is missing: ${fileURLToPath(url)}.`, {
    remediation: "Install it again: npm install smolvm; a bundler has to leave its files where they are.",
    cause: error,
  });
}
