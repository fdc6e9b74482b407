const LONGEST = 60;

/** A command as one line of a message shows it, cut where it is long. */
export function shortCommand(command: string | readonly string[]): string {
  const text = typeof command === "string" ? command : command.join(" ");
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 3)}…` : line;
}
