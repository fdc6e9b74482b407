import { spawnSync } from "node:child_process";
import type { Readable } from "node:stream";

/** Standard input that is a terminal, such as process.stdin. */
export interface TerminalInput extends Readable {
  readonly isTTY: true;
  readonly isRaw: boolean;
  readonly fd: number;
  setRawMode(isRaw: boolean): unknown;
}

export function isTerminalInput(stdin: Readable): stdin is TerminalInput {
  return "isTTY" in stdin && stdin.isTTY === true && "setRawMode" in stdin;
}

/**
 * Hands every key on unread, Control-C too, and every byte of output as it is, until the returned function is called. A
 * process that is stopped and continued finds the terminal as its shell left it, and takes it again.
 */
export function holdRawTerminal(terminal: TerminalInput): () => void {
  const { isRaw } = terminal;
  const take = () => {
    // Node sets nothing where it believes that nothing changes.
    terminal.setRawMode(false);
    terminal.setRawMode(true);
    passOutputUnchanged(terminal.fd);
  };
  take();
  process.on("SIGCONT", take);
  return () => {
    process.off("SIGCONT", take);
    terminal.setRawMode(false);
    if (isRaw) terminal.setRawMode(true);
  };
}

/**
 * Node's raw mode still begins a new line at each line feed. A guest's full-screen program means just one line down by it.
 * Leaving the raw mode puts this back as well. Where it can't be done, such programs may look wrong, and nothing else.
 */
function passOutputUnchanged(fd: number): void {
  spawnSync("stty", ["-opost"], { stdio: [fd, "ignore", "ignore"], timeout: 2000 });
}
