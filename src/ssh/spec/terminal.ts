export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface Terminal extends TerminalSize {
  /** The terminal's type, the guest's $TERM. */
  readonly term: string;
}

/** Control-D: what ends the input of a program that reads lines from a terminal. */
const END_OF_TRANSMISSION = 4;
const LINE_ENDS: readonly (number | undefined)[] = [undefined, 0x0a, 0x0d, END_OF_TRANSMISSION];

/** What ends the input of a terminal: within a line, the first one only hands over what there is of it. */
export function endOfTerminalInput(lastByte: number | undefined): Buffer {
  return Buffer.alloc(LINE_ENDS.includes(lastByte) ? 1 : 2, END_OF_TRANSMISSION);
}
