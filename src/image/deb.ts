import { gunzipSync } from "node:zlib";
import { ImageError, OperationAbortedError } from "../errors.ts";
import { type ArMember, decodeAr } from "../util/ar.ts";
import { unxz, unzstd } from "./compression.ts";
import { decodeTar, type TarMember } from "./tar.ts";

/** A Debian package, unpacked in memory. */
export interface Deb {
  /** Its maintainer scripts, conffiles, triggers and `control` itself. */
  readonly control: readonly TarMember[];
  /** The files it installs. */
  readonly data: readonly TarMember[];
}

/** `name` is only for the error message. OperationAbortedError. */
export async function readDeb(bytes: Buffer, name: string, signal?: AbortSignal): Promise<Deb> {
  try {
    signal?.throwIfAborted();
    const members = decodeAr(bytes);
    const version = members[0];
    if (version?.name !== "debian-binary" || !version.data.toString("latin1").startsWith("2.")) {
      throw new RangeError("no Debian package of format 2");
    }
    return {
      control: await readTar(members, "control.tar", signal),
      data: await readTar(members, "data.tar", signal),
    };
  } catch (cause) {
    if (signal?.aborted) throw new OperationAbortedError(`Unpacking ${name}`, undefined, { cause });
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ImageError(`The package ${name} can't be unpacked: ${why}.`, { cause });
  }
}

async function readTar(
  members: readonly ArMember[],
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<TarMember[]> {
  const member = members.find(({ name }) => name === prefix || name.startsWith(`${prefix}.`));
  if (!member) throw new RangeError(`it has no ${prefix}`);
  return await decodeTar(await decompress(member, signal));
}

async function decompress({ name, data }: ArMember, signal: AbortSignal | undefined): Promise<Uint8Array> {
  if (name.endsWith(".tar")) return data;
  if (name.endsWith(".xz")) return await unxz(data, signal);
  if (name.endsWith(".gz")) return gunzipSync(data);
  if (name.endsWith(".zst")) return await unzstd(data);
  throw new RangeError(`${name} is compressed in an unknown way`);
}
