import { readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { HostError } from "../errors.ts";
import { isMissing } from "./whole-file.ts";

/** A file that belongs to this package. HostError where the package is not whole. */
export async function readPackageFile(url: URL): Promise<Buffer> {
  return readFile(url).catch((error) => {
    throw explained(url, error);
  });
}

/** The names in a folder that belongs to this package. HostError likewise. */
export async function listPackageFiles(url: URL): Promise<string[]> {
  return readdir(url).catch((error) => {
    throw explained(url, error);
  });
}

/** A file, at once. */
export function readPackageFileNow(url: URL): Buffer {
  try {
    return readFileSync(url);
  } catch (error) {
    throw explained(url, error);
  }
}

/** HostError where a file of this package that another program is to read is missing. What else may be wrong with it, that program says. */
export async function requirePackageFile(url: URL): Promise<void> {
  await stat(url).catch((error) => {
    if (isMissing(error)) throw explained(url, error);
  });
}

function explained(url: URL, error: unknown): unknown {
  if (!isMissing(error)) return error;
  return new HostError(`A file of smolvm itself is missing: ${fileURLToPath(url)}.`, {
    remediation: "Install it again: npm install smolvm; a bundler has to leave its files where they are.",
    cause: error,
  });
}
