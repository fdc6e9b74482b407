const MAGIC = 0x464c457f;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const NEEDED_TAG = 1n;
const DYNAMIC_ENTRY_BYTES = 16;

/** The content of a named section of a 64-bit little-endian ELF file; undefined where there is none. RangeError for anything else. */
export function readElfSection(file: Buffer, name: string): Buffer | undefined {
  return sectionsOf(file).get(name);
}

/** The libraries a program or library asks for by name (DT_NEEDED), and the loader it names; none where it is static. */
export function neededLibraries(file: Buffer): { libraries: string[]; loader: string | undefined } {
  const sections = sectionsOf(file);
  const dynamic = sections.get(".dynamic") ?? Buffer.alloc(0);
  const names = sections.get(".dynstr") ?? Buffer.alloc(0);
  const libraries: string[] = [];
  for (let at = 0; at + DYNAMIC_ENTRY_BYTES <= dynamic.length; at += DYNAMIC_ENTRY_BYTES) {
    if (dynamic.readBigUInt64LE(at) === NEEDED_TAG)
      libraries.push(textAt(names, Number(dynamic.readBigUInt64LE(at + 8))));
  }
  const loader = sections.get(".interp");
  return { libraries, loader: loader && textAt(loader, 0) };
}

/** The `name=value` entries of a kernel module's .modinfo section. */
export function readModuleInfo(file: Buffer): Map<string, string> {
  const text = readElfSection(file, ".modinfo")?.toString("latin1") ?? "";
  const entries = text.split("\0").filter((entry) => entry.includes("="));
  return new Map(
    entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

function sectionsOf(file: Buffer): Map<string, Buffer> {
  if (
    file.length < 64 ||
    file.readUInt32LE(0) !== MAGIC ||
    file[4] !== CLASS_64 ||
    file[5] !== LITTLE_ENDIAN
  ) {
    throw new RangeError("no 64-bit little-endian ELF file");
  }
  const tableAt = Number(file.readBigUInt64LE(40));
  const entryBytes = file.readUInt16LE(58);
  const count = file.readUInt16LE(60);
  if (entryBytes < 64 || tableAt + entryBytes * count > file.length)
    throw new RangeError("an ELF file cut short");
  const headers = Array.from({ length: count }, (_, index) => {
    const at = tableAt + entryBytes * index;
    return { nameAt: file.readUInt32LE(at), content: sectionContent(file, at) };
  });
  const names = headers[file.readUInt16LE(62)]?.content ?? Buffer.alloc(0);
  return new Map(headers.map(({ nameAt, content }) => [textAt(names, nameAt), content]));
}

const NO_BITS = 8;

function sectionContent(file: Buffer, headerAt: number): Buffer {
  if (file.readUInt32LE(headerAt + 4) === NO_BITS) return Buffer.alloc(0);
  const start = Number(file.readBigUInt64LE(headerAt + 24));
  const end = start + Number(file.readBigUInt64LE(headerAt + 32));
  if (end > file.length) throw new RangeError("an ELF file cut short");
  return file.subarray(start, end);
}

function textAt(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("utf8", at, end < 0 ? bytes.length : end);
}
