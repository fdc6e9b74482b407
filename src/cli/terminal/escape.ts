/** What of some input goes to the guest, and whether the keys that leave the terminal came behind it. */
export interface Filtered {
  readonly bytes: Uint8Array;
  readonly leaves: boolean;
}

const TILDE = 0x7e;
const PERIOD = 0x2e;
const CONTROL_BRACKET = 0x1d;
const LINE_ENDS = [0x0a, 0x0d];
const ESCAPE = 0x1b;
const BRACKET = 0x5b;
/** How the sequences end that a terminal sends by itself: where the cursor is, what it is, whether it has the focus. */
const REPORTS = Buffer.from("RcntyIO");

/** "escape" and "sequence": within what may be such a report, at the start of a line. */
type Place = "start" | "tilde" | "escape" | "sequence" | "line";

/**
 * Looks for the keys that leave a terminal, as ssh and telnet have them: `~.` at the start of a line, Ctrl-] anywhere.
 * `~~` at the start of a line sends one tilde; a tilde there waits for the key after it. How the input is cut into
 * chunks makes no difference. What comes behind the keys is dropped.
 */
export function filterEscapes(): (chunk: Uint8Array) => Filtered {
  let place: Place = "start";
  let hasLeft = false;
  return (chunk) => {
    const passed: number[] = [];
    for (const byte of chunk) {
      hasLeft ||= byte === CONTROL_BRACKET || (place === "tilde" && byte === PERIOD);
      if (hasLeft) break;
      const isHeld = place === "start" && byte === TILDE;
      if (place === "tilde" && byte !== TILDE) passed.push(TILDE);
      if (!isHeld) passed.push(byte);
      place = isHeld ? "tilde" : placeAfter(place, byte);
    }
    return { bytes: Uint8Array.from(passed), leaves: hasLeft };
  };
}

function placeAfter(place: Place, byte: number): Place {
  if (LINE_ENDS.includes(byte)) return "start";
  if (place === "start" && byte === ESCAPE) return "escape";
  if (place === "escape" && byte === BRACKET) return "sequence";
  // A shell that asks where the cursor is gets its answer at the start of each line, and nobody typed it.
  if (place === "sequence" && REPORTS.includes(byte)) return "start";
  if (place === "sequence" && byte >= 0x20 && byte < 0x40) return "sequence";
  return "line";
}
