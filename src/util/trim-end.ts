/** Without these characters at its end. A regular expression for that takes quadratic time where many of them stand elsewhere. */
export function trimEndOf(text: string, character: string): string {
  let end = text.length;
  while (text[end - 1] === character) end--;
  return text.slice(0, end);
}
