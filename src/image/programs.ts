import { posix } from "node:path";
import { ImageError } from "../errors.ts";
import type { CpioEntry } from "../util/cpio.ts";
import { neededLibraries } from "../util/elf.ts";
import type { TarMember } from "./tar.ts";

/** Files of unpacked packages by path, as a root file system would show them: /bin, /lib … are in /usr. */
export class PackageFiles {
  readonly #members = new Map<string, TarMember>();

  constructor(members: Iterable<TarMember>) {
    for (const member of members) this.#members.set(inUsr(member.path), member);
  }

  /** The file at a path, symbolic links followed; ImageError where there is none. */
  get(path: string): Buffer {
    let at = inUsr(path.replace(/^\/+/, ""));
    for (let hops = 0; hops < 16; hops++) {
      const member = this.#members.get(at);
      if (member?.data)
        return Buffer.from(member.data.buffer, member.data.byteOffset, member.data.byteLength);
      if (member?.linkTarget === undefined) break;
      at = member.type === "link" ? inUsr(member.linkTarget) : resolveLink(at, member.linkTarget);
    }
    throw new ImageError(`The packages have no file ${path}.`, { details: { path } });
  }

  has(path: string): boolean {
    return this.#members.has(inUsr(path));
  }
}

/** The programs with every library they need and the loader, at the places where the loader looks by itself. */
export function programsWithLibraries(
  files: PackageFiles,
  programs: readonly string[],
  triplet: string,
): CpioEntry[] {
  const entries = new Map<string, CpioEntry>();
  const add = (path: string): void => {
    if (entries.has(path)) return;
    const data = files.get(path);
    entries.set(path, { path, mode: 0o100755, data });
    const { libraries, loader } = neededLibraries(data);
    if (loader !== undefined) add(inUsr(loader.slice(1)));
    for (const library of libraries) if (!isLoader(library)) add(libraryPath(files, library, triplet));
  };
  for (const program of programs) add(program);
  return [...entries.values()];
}

/** The C library names the loader as a library too, but that is in memory already. */
function isLoader(library: string): boolean {
  return library.startsWith("ld-linux");
}

function libraryPath(files: PackageFiles, library: string, triplet: string): string {
  const folders = [`usr/lib/${triplet}`, "usr/lib", "usr/lib64"];
  const path = folders.map((folder) => `${folder}/${library}`).find((candidate) => files.has(candidate));
  if (path === undefined)
    throw new ImageError(`The packages have no library ${library}.`, { details: { library } });
  return path;
}

function resolveLink(from: string, target: string): string {
  const path = target.startsWith("/")
    ? posix.normalize(target)
    : posix.join("/", posix.dirname(from), target);
  return inUsr(path.slice(1));
}

function inUsr(path: string): string {
  return /^(bin|sbin|lib|lib64)(\/|$)/.test(path) ? `usr/${path}` : path;
}
