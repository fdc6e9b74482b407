import { quoteText } from "../../util/quote.ts";

/**
 * A shell reads its line byte by byte, 6 µs each where the CPU is emulated. What is long comes behind the line instead,
 * and is taken by a process (about 8 ms) that reads just that many bytes.
 */
const LONGEST_ON_LINE = 1500;

export function isLong(text: string): boolean {
  return text.length > LONGEST_ON_LINE;
}

/** What is to follow the line. Command substitution takes newlines off its end, where they can matter behind a backslash. */
export function addBulk(text: string, bulk: Buffer[]): { length: number; newlines: number } {
  const bytes = Buffer.from(text);
  bulk.push(bytes);
  return { length: bytes.length, newlines: /\n*$/.exec(text)?.[0].length ?? 0 };
}

/** NAME='value' … */
export function assignments(
  variables: Readonly<Record<string, string>>,
  quote: (text: string) => string = quoteShort,
): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quote(value)}`)
    .join(" ");
}

/** Variables are passed on as this text: it is not to be much longer than they are, which may take all that Linux allows. */
function quoteShort(text: string): string {
  const [single, double] = [quoteText(text), `"${text.replaceAll(/["$`\\]/g, "\\$&")}"`];
  return double.length < single.length ? double : single;
}
