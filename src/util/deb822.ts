/** The fields of one paragraph, names in lower case, continuation lines joined by a newline. */
export type Paragraph = ReadonlyMap<string, string>;

/** Debian's control format: paragraphs apart by empty lines, `Name: value`, continuation lines indented, `#` comments. Lines that are none of these are skipped. */
export function parseDeb822(text: string): Paragraph[] {
  const paragraphs: Map<string, string>[] = [];
  let fields = new Map<string, string>();
  let last: string | undefined;
  const close = () => {
    if (fields.size > 0) paragraphs.push(fields);
    fields = new Map();
    last = undefined;
  };
  for (const line of text.split("\n").map((raw) => raw.trimEnd())) {
    if (line === "") close();
    else if (line.startsWith("#")) continue;
    else if (/^[ \t]/.test(line)) {
      if (last !== undefined) fields.set(last, `${fields.get(last)}\n${line.trim()}`);
    } else last = addField(fields, line);
  }
  close();
  return paragraphs;
}

function addField(fields: Map<string, string>, line: string): string | undefined {
  const colon = line.indexOf(":");
  if (colon <= 0) return undefined;
  const name = line.slice(0, colon).toLowerCase();
  fields.set(name, line.slice(colon + 1).trim());
  return name;
}
