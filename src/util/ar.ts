/** One member of an `ar` archive, the outer form of a .deb. */
export interface ArMember {
  readonly name: string;
  readonly data: Buffer;
}

const MAGIC = "!<arch>\n";
const HEADER_BYTES = 60;

/** Throws RangeError on anything that is no well-formed archive. */
export function decodeAr(bytes: Buffer): ArMember[] {
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) throw new RangeError("no ar archive");
  const members: ArMember[] = [];
  let offset = MAGIC.length;
  while (offset < bytes.length) {
    const member = decodeMember(bytes, offset);
    members.push(member);
    offset += HEADER_BYTES + member.data.length + (member.data.length & 1);
  }
  return members;
}

function decodeMember(bytes: Buffer, offset: number): ArMember {
  const header = bytes.toString("latin1", offset, offset + HEADER_BYTES);
  if (header.length < HEADER_BYTES || !header.endsWith("`\n"))
    throw new RangeError(`bad ar header at ${offset}`);
  const size = header.slice(48, 58).trimEnd();
  if (!/^\d+$/.test(size)) throw new RangeError(`bad ar member size at ${offset}`);
  const start = offset + HEADER_BYTES;
  const end = start + Number(size);
  if (end > bytes.length) throw new RangeError(`ar member at ${offset} is cut short`);
  return { name: header.slice(0, 16).trimEnd().replace(/\/$/, ""), data: bytes.subarray(start, end) };
}
