import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const PUBLIC_MIRROR = "https://ftp.debian.org/debian";

/** The Debian mirror that this host installs from. */
export async function debianMirror(): Promise<string> {
  if (process.env.SMOLVM_DEBIAN_MIRROR) return process.env.SMOLVM_DEBIAN_MIRROR;
  return (await readSources("/etc/apt")).flatMap(parseMirrors)[0] ?? PUBLIC_MIRROR;
}

/** The addresses of Debian archives in a sources.list or a deb822 file, in order; security and third parties are left out. */
export function parseMirrors(text: string): string[] {
  const addresses = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^(deb\s|uris:)/i.test(line))
    .flatMap((line) =>
      line
        .replace(/\[[^\]]*\]/, " ")
        .split(/\s+/)
        .slice(1),
    );
  return addresses
    .filter((word) => /^https?:\/\/\S+\/debian\/?$/.test(word))
    .map((word) => word.replace(/\/$/, ""));
}

async function readSources(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, "sources.list.d")).catch(() => []);
  const files = names.filter((name) => /\.(list|sources)$/.test(name)).sort();
  const paths = [join(folder, "sources.list"), ...files.map((name) => join(folder, "sources.list.d", name))];
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  return texts.filter((text) => text !== "");
}
