/** What of some input goes to the guest, and whether the keys that leave the terminal came behind it. */
export interface Filtered {
  readonly bytes: Uint8Array;
  readonly leaves: boolean;
}

const TILDE = 0x7e;
const PERIOD = 0x2e;
const CONTROL_BRACKET = 0x1d;
const LINE_ENDS = [0x0a, 0x0d];

/**
 * Looks for the keys that leave a terminal, as ssh and telnet have them: `~.` at the start of a line, Ctrl-] anywhere.
 * `~~` at the start of a line sends one tilde; a tilde there waits for the key after it. How the input is cut into
 * chunks makes no difference. What comes behind the keys is dropped.
 */
export function filterEscapes(): (chunk: Uint8Array) => Filtered {
  let place: "start" | "tilde" | "line" = "start";
  let hasLeft = false;
  return (chunk) => {
    const passed: number[] = [];
    for (const byte of chunk) {
      if (hasLeft) break;
      hasLeft = byte === CONTROL_BRACKET || (place === "tilde" && byte === PERIOD);
      if (hasLeft) break;
      const wasTilde = place === "tilde";
      if (place === "start" && byte === TILDE) {
        place = "tilde";
        continue;
      }
      if (wasTilde && byte !== TILDE) passed.push(TILDE);
      passed.push(byte);
      place = LINE_ENDS.includes(byte) ? "start" : "line";
    }
    return { bytes: Uint8Array.from(passed), leaves: hasLeft };
  };
}
