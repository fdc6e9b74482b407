import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

/** A file, folder or link of a made-up package. */
export type FixtureFile = { data: string | Uint8Array; mode?: number } | { link: string } | { folder: true };

/** An `ar` archive. */
export function makeAr(members: readonly (readonly [name: string, data: Uint8Array])[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from("!<arch>\n")];
  for (const [name, data] of members) {
    const size = String(data.length).padEnd(10);
    parts.push(Buffer.from(`${name.padEnd(16)}0           0     0     100644  ${size}\`\n`), data);
    if (data.length % 2 === 1) parts.push(Buffer.from("\n"));
  }
  return Buffer.concat(parts);
}

/** A Debian package of format 2, its parts packed by gzip. */
export async function makeDeb(
  control: Readonly<Record<string, string>>,
  files: Readonly<Record<string, FixtureFile>>,
): Promise<Buffer> {
  const controlTar = await makeTar(
    Object.fromEntries(Object.entries(control).map(([name, data]) => [name, { data }])),
  );
  return makeAr([
    ["debian-binary", Buffer.from("2.0\n")],
    ["control.tar.gz", gzipSync(controlTar)],
    ["data.tar.gz", gzipSync(await makeTar(files))],
  ]);
}

/** Members are called "./path", as dpkg-deb does. */
export async function makeTar(files: Readonly<Record<string, FixtureFile>>): Promise<Uint8Array> {
  return await packTar(
    Object.entries(files).map(([path, file]) => {
      const name = `./${path}`;
      const common = { mtime: new Date(1_700_000_000_000), uid: 0, gid: 0 };
      if ("link" in file)
        return { header: { ...common, name, type: "symlink", size: 0, linkname: file.link } };
      if ("folder" in file) return { header: { ...common, name: `${name}/`, type: "directory", size: 0 } };
      const body = Buffer.from(file.data);
      return { header: { ...common, name, size: body.length, mode: file.mode ?? 0o644 }, body };
    }),
  );
}

/** A 64-bit ELF file that consists of nothing but the given sections. */
export function makeElf(sections: Readonly<Record<string, Uint8Array>>): Buffer {
  const named = Object.entries({ ...sections, ".shstrtab": new Uint8Array(0) });
  const names = Buffer.from(`\0${named.map(([name]) => name).join("\0")}\0`);
  const contents = named.map(([name, data]) => (name === ".shstrtab" ? names : Buffer.from(data)));
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  const table = Buffer.alloc(64 * (named.length + 1));
  let at = 64;
  contents.forEach((content, index) => {
    const entry = 64 * (index + 1);
    table.writeUInt32LE(names.indexOf(`\0${named[index]?.[0]}\0`, 0, "latin1") + 1, entry);
    table.writeUInt32LE(1, entry + 4);
    table.writeBigUInt64LE(BigInt(at), entry + 24);
    table.writeBigUInt64LE(BigInt(content.length), entry + 32);
    at += content.length;
  });
  header.writeBigUInt64LE(BigInt(at), 40);
  header.writeUInt16LE(64, 58);
  header.writeUInt16LE(named.length + 1, 60);
  header.writeUInt16LE(named.length, 62);
  return Buffer.concat([header, ...contents, table]);
}

/** A program or library that asks for others by name. */
export function makeProgram(needed: readonly string[], loader?: string): Buffer {
  const strings = Buffer.from(`\0${needed.join("\0")}\0`);
  const dynamic = Buffer.alloc(16 * (needed.length + 1));
  needed.forEach((name, index) => {
    dynamic.writeBigUInt64LE(1n, 16 * index);
    dynamic.writeBigUInt64LE(BigInt(strings.indexOf(`\0${name}\0`, 0, "latin1") + 1), 16 * index + 8);
  });
  const interp = loader === undefined ? {} : { ".interp": Buffer.from(`${loader}\0`) };
  return makeElf({ ".dynamic": dynamic, ".dynstr": strings, ...interp });
}

export function makeModule(depends: readonly string[]): Buffer {
  return makeElf({ ".modinfo": Buffer.from(`license=GPL\0depends=${depends.join(",")}\0`) });
}

/** A bzImage around a payload that is compressed already; a zstd payload gets its unpacked size behind it, as in a kernel's build. */
export function makeBzImage(payload: Uint8Array): Buffer {
  const image = Buffer.alloc(512 * 2 + 32 + payload.length);
  image.writeUInt8(1, 0x1f1);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt32LE(32, 0x248);
  image.writeUInt32LE(payload.length, 0x24c);
  image.set(payload, 512 * 2 + 32);
  return image;
}

export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}
