const LONGEST = 15;

/** A whole number in text that somebody else wrote; null where it is none, or not from `least` to `most`. */
export function parseForeignNumber(text: string | undefined, least: number, most: number): number | null {
  if (text === undefined || text.length > LONGEST || !/^\d+$/.test(text)) return null;
  const value = Number(text);
  return value >= least && value <= most ? value : null;
}
