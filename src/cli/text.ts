import { quoteText } from "../util/quote.ts";
import { tame, tameLine } from "../util/tame.ts";

/** Columns as wide as their widest cell; the last one is not padded. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map(tameLine));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) => formatRow(row, widths)).join("\n");
}

/** One name to a line, whatever is in it. */
export function formatNames(names: readonly string[]): string {
  return names.map(tameLine).join("\n");
}

/** One `name: value` to a line, the values below each other. */
export function formatFields(fields: readonly (readonly [name: string, value: unknown])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length)) + 1;
  return fields.map(([name, value]) => `${`${name}:`.padEnd(width)} ${tameLine(String(value))}`).join("\n");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** "37 MiB": at most one decimal, and that only below 10. */
export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${power > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[power]}`;
}

/** A machine's memory or disk, which are whole MiB. */
export function formatMib(mib: number): string {
  return formatBytes(mib * 1024 ** 2);
}

/** "45s", "12m", "2h 5m", "3d 4h": the two largest units are enough. */
export function formatDuration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${Math.floor(seconds)}s`;
  if (hours === 0) return `${minutes}m`;
  if (hours < 24) return `${hours}h ${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** A word as a shell would have to be given it: a POSIX one, or, where it would steer a terminal, one that knows `$'\x1b'`. */
export function quoteForShell(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (tame(text) === text) return quoteText(text);
  return `$'${text.replaceAll(/[\\']/g, "\\$&").replaceAll(/[^\n]/gu, escaped)}'`;
}

/** Each of its bytes, so that the shell's own character set makes no difference. */
function escaped(character: string): string {
  if (tame(character) === character) return character;
  return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is terminals' language
const COLORS = /(\u001b\[[\d;]{0,40}m)/;

/** A line that a guest wrote, for the user's terminal: of what would steer the terminal only colours are left. */
export function tameLogLine(line: string): string {
  const [first = "", ...rest] = line.split(COLORS);
  const tamed = [first, ...rest].map((part, index) => (index % 2 === 1 ? part : tameLine(part)));
  return rest.length > 0 ? `${tamed.join("")}\u001b[0m` : tamed.join("");
}

function formatRow(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
    .join("  ")
    .trimEnd();
}
