const NEWLINE = 0x0a;

/**
 * Cuts a stream of bytes into lines, however the bytes come in chunks. The newline is not part of the line.
 * A line of more than `maxBytes` is handed out in pieces of that size, all but the last with `cut` true,
 * so that a peer that never ends its line can't fill the memory.
 */
export function lineSplitter(
  maxBytes: number,
  onLine: (line: Buffer, cut: boolean) => void,
): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let length = 0;

  const flush = (cut: boolean) => {
    const line = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
    parts = [];
    length = 0;
    onLine(line, cut);
  };

  return (chunk) => {
    let rest = chunk;
    while (rest.length > 0) {
      const newline = rest.indexOf(NEWLINE);
      const end = newline === -1 ? rest.length : newline;
      const taken = Math.min(end, maxBytes - length);
      parts.push(rest.subarray(0, taken));
      length += taken;
      if (taken < end) flush(true);
      else if (newline !== -1) flush(false);
      rest = rest.subarray(taken < end ? taken : end + 1);
    }
  };
}
