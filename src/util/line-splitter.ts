const NEWLINE = 0x0a;
const SMALLEST_BUFFER = 256;
const NOTHING = Buffer.alloc(0);

/**
 * Cuts a stream of bytes into lines, however the bytes come in chunks. The newline is not part of the line.
 * A line of more than `maxBytes` is handed out in pieces of that size, all but the last with `cut` true,
 * so that a peer that never ends its line can't fill the memory. What has no end yet is copied: a view of a byte
 * would keep all of its chunk, and a list of views costs a hundred times what it shows.
 */
export function lineSplitter(
  maxBytes: number,
  onLine: (line: Buffer, cut: boolean) => void,
): (chunk: Buffer) => void {
  let kept: Buffer = NOTHING;
  let length = 0;

  const keep = (bytes: Buffer) => {
    if (length + bytes.length > kept.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.min(maxBytes, Math.max(length + bytes.length, 2 * kept.length, SMALLEST_BUFFER)),
      );
      kept.copy(larger, 0, 0, length);
      kept = larger;
    }
    bytes.copy(kept, length);
    length += bytes.length;
  };

  const flush = (bytes: Buffer, cut: boolean) => {
    if (length === 0) return onLine(bytes, cut);
    keep(bytes);
    const line = kept.subarray(0, length);
    [kept, length] = [NOTHING, 0];
    onLine(line, cut);
  };

  return (chunk) => {
    let newline = -2; // not looked for; -1: there is none
    for (let at = 0; at < chunk.length; ) {
      if (newline !== -1 && newline < at) newline = chunk.indexOf(NEWLINE, at);
      const end = newline === -1 ? chunk.length : newline;
      const taken = Math.min(end, at + maxBytes - length);
      const piece = chunk.subarray(at, taken);
      if (taken < end) flush(piece, true);
      else if (newline !== -1) flush(piece, false);
      else keep(piece);
      at = taken < end ? taken : end + 1;
    }
  };
}
