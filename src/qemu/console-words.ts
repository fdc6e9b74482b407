import { parseForeignNumber } from "../util/foreign-number.ts";

/** What the guest tells the host on its console. */
export type GuestMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "progress"; readonly text: string }
  | { readonly kind: "done" }
  /** Nothing runs but what the guest is made of, and its disk has everything. */
  | { readonly kind: "quiet" }
  /** What its kernel notices comes here from now on. */
  | { readonly kind: "speaks" }
  /** It is now who that request told it to be, or has the time that it brought. */
  | { readonly kind: "identity"; readonly request: number }
  /** Its clock is far ahead of the time that request told it, unless that came late. */
  | { readonly kind: "ahead"; readonly request: number }
  /** Its kernel has noticed that it is another machine now, and has new random numbers. */
  | { readonly kind: "reseeded" };

/** Linux, drivers/char/random.c: add_vmfork_randomness(). */
const RESEEDED = "crng reseeded due to virtual machine fork";
const PREFIX = "smolvm: ";
const LONGEST_WORD = 32;

/** A message at the end of a console line; kernel messages may stand before it. Each byte is looked at once. */
export function parseGuestMessage(line: string): GuestMessage | undefined {
  const text = line.trimEnd();
  if (text.endsWith(RESEEDED)) return { kind: "reseeded" };
  for (let at = text.indexOf(PREFIX); at !== -1; at = text.indexOf(PREFIX, at + 1)) {
    const message = parseWords(text, at + PREFIX.length);
    if (message) return message;
  }
  return undefined;
}

function parseWords(text: string, start: number): GuestMessage | undefined {
  const rest = (word: string) => text.slice(start + word.length);
  if (text.startsWith("failed:", start)) return { kind: "failed", reason: rest("failed:").trim() };
  if (text.startsWith("progress ", start)) return { kind: "progress", text: rest("progress ") };
  if (text.length - start > LONGEST_WORD) return undefined;
  const word = rest("");
  if (word === "ready" || word === "done" || word === "quiet" || word === "speaks") return { kind: word };
  const [kind, number = "", ...more] = word.split(" ");
  if ((kind !== "identity" && kind !== "ahead") || more.length > 0) return undefined;
  const request = parseForeignNumber(number, 0, Number.MAX_SAFE_INTEGER);
  return request === null ? undefined : { kind, request };
}

/** What the host says there, that of earlier versions too: a guest that they have saved still echoes it. */
const TOLD =
  /^smolvm (?:ready\?|speak|mend|kill [0-9a-f]+\/\d+ \d+|quiet\? \d+|time \d+ \d+|clock \d+ \d+ \d+|(?:grace \d+ smolvm )?poweroff)$/;
/** Why a guest fails is for people too. */
const ANSWERED = /^smolvm: (?:ready|quiet|speaks|done|(?:identity|ahead) \d+)$/;

/** Whether a whole line of the console is what the host and our part of the guest tell each other, which is shown to nobody. */
export function isBetweenUs(line: string): boolean {
  return TOLD.test(line) || ANSWERED.test(line);
}
