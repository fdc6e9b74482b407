import { type ParsedTarEntryWithData, packTar, type TarHeader, unpackTar } from "modern-tar";

/** One member of a tar archive. `path` is relative and normalised: no "./", no "..", no double or trailing slash. */
export interface TarMember {
  readonly path: string;
  readonly type: "file" | "directory" | "symlink" | "link";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** A symbolic link's text as it is; a hard link's normalised path in the archive. */
  readonly linkTarget?: string;
  readonly data?: Uint8Array;
}

/** The members in order, without the root folder itself; RangeError for a damaged archive or a path that leads out of it. */
export async function decodeTar(bytes: Uint8Array): Promise<TarMember[]> {
  const entries = await unpackTar(bytes, { strict: true }).catch((cause: unknown) => {
    throw new RangeError(`a damaged tar archive: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  });
  return entries.map(toMember).filter((member) => member.path !== "");
}

/** Two empty blocks. */
export const TAR_END = new Uint8Array(1024);
/**
 * A part of an archive, to be followed by others and at last by TAR_END. Plain headers only, which busybox reads too:
 * RangeError for a path or link that doesn't fit into one.
 */
export async function encodeTarPart(members: readonly TarMember[]): Promise<Uint8Array> {
  const tooLong = members.find(
    ({ path, linkTarget = "" }) => !fitsHeader(path) || Buffer.byteLength(linkTarget) > 100,
  );
  if (tooLong) throw new RangeError(`a path too long for a tar header: ${tooLong.path}`);
  const archive = await packTar(members.map(toEntry));
  return archive.subarray(0, archive.length - TAR_END.length);
}

/** A header has 100 bytes for a name, and 155 for the folders before it. */
function fitsHeader(path: string): boolean {
  if (Buffer.byteLength(path) < 100) return true;
  const parts = path.split("/");
  return parts.some(
    (_, at) =>
      at > 0 &&
      Buffer.byteLength(parts.slice(0, at).join("/")) <= 155 &&
      Buffer.byteLength(parts.slice(at).join("/")) < 100,
  );
}

function toMember({ header, data }: ParsedTarEntryWithData): TarMember {
  const type = header.type ?? "file";
  if (type !== "file" && type !== "directory" && type !== "symlink" && type !== "link") {
    throw new RangeError(`a tar member of type ${type}: ${header.name}`);
  }
  return {
    path: normalised(header.name),
    type,
    mode: (header.mode ?? 0) & 0o7777,
    uid: header.uid ?? 0,
    gid: header.gid ?? 0,
    mtimeSeconds: Math.floor((header.mtime?.getTime() ?? 0) / 1000),
    ...(type === "symlink" ? { linkTarget: header.linkname ?? "" } : {}),
    ...(type === "link" ? { linkTarget: normalised(header.linkname ?? "") } : {}),
    ...(type === "file" ? { data: data ?? new Uint8Array(0) } : {}),
  };
}

function normalised(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || path.includes("\0"))
    throw new RangeError(`a tar member that leads out of its archive: ${path}`);
  return parts.join("/");
}

function toEntry(member: TarMember): { header: TarHeader; body?: Uint8Array } {
  const header: TarHeader = {
    name: member.type === "directory" ? `${member.path}/` : member.path,
    type: member.type,
    size: member.data?.length ?? 0,
    mode: member.mode,
    uid: member.uid,
    gid: member.gid,
    mtime: new Date(member.mtimeSeconds * 1000),
    ...(member.linkTarget === undefined ? {} : { linkname: member.linkTarget }),
  };
  return member.data === undefined ? { header } : { header, body: member.data };
}
