/** One word for a POSIX shell, whatever it holds; plain words stay readable. */
export function quoteWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : quoteText(word);
}

/** In single quotes nothing is special but the single quote itself. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** As `quoteText`, on one line: each newline becomes the value of a variable, for shells that read their code by `read -r`. */
export function quoteOnOneLine(text: string, newline: "$nl" | "$5"): string {
  return quoteText(text).replaceAll("\n", `'"${newline}"'`);
}
