import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { refuse } from "../util/options.ts";
import { trimEndOf } from "../util/trim-end.ts";
import { findDebianSources, type SourcesFile } from "./apt-sources.ts";

/** Where packages come from; the guest's own APT uses the same. Addresses without a trailing slash. */
export interface Mirror {
  readonly archive: string;
  /** Debian's security archive, where the host's sources or an option name one. */
  readonly security: string | null;
}

export interface MirrorOptions {
  /** A Debian archive, for example "https://ftp.debian.org/debian". */
  readonly mirror?: string | undefined;
  readonly securityMirror?: string | undefined;
}

const DEFAULT_ARCHIVE = "https://ftp.debian.org/debian";

/** The option, else SMOLVM_DEBIAN_MIRROR, else the host's own sources where they are Debian's, else the public default. */
export async function findMirror(
  options: MirrorOptions,
  env: NodeJS.ProcessEnv = process.env,
  aptFolder = "/etc/apt",
): Promise<Mirror> {
  const host = findDebianSources(await readSources(aptFolder));
  const archive =
    chosen("mirror", options.mirror) ?? chosen("SMOLVM_DEBIAN_MIRROR", env.SMOLVM_DEBIAN_MIRROR);
  const security =
    chosen("securityMirror", options.securityMirror) ??
    chosen("SMOLVM_DEBIAN_SECURITY_MIRROR", env.SMOLVM_DEBIAN_SECURITY_MIRROR);
  return { archive: archive ?? host.archive ?? DEFAULT_ARCHIVE, security: security ?? host.security ?? null };
}

function chosen(name: string, address: string | undefined): string | undefined {
  if (address === undefined || address === "") return undefined;
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
    throw refuse(name, address, "an http or https address");
  }
  return trimEndOf(address, "/");
}

/** In APT's own order; a host without APT has none. */
async function readSources(aptFolder: string): Promise<SourcesFile[]> {
  const partsFolder = join(aptFolder, "sources.list.d");
  const parts = await readdir(partsFolder).catch(() => []);
  const names = parts.filter((name) => /^[\w.-]+\.(list|sources)$/.test(name)).sort();
  const paths = [join(aptFolder, "sources.list"), ...names.map((name) => join(partsFolder, name))];
  const files = await Promise.all(
    paths.map(async (name) => ({ name, text: await readFile(name, "utf8").catch(() => "") })),
  );
  return files.filter(({ text }) => text !== "");
}
