import { PassThrough } from "node:stream";
import type { Machine } from "../api.ts";
import { type Context, type Flag, type Outcome, UsageError } from "../command.ts";
import { STATUS } from "../failure.ts";
import type { Io } from "../io.ts";
import { filterEscapes } from "./escape.ts";
import { watchScreen } from "./screen.ts";

/** A terminal of the guest, with a shell or a command in it. */
type Shell = Awaited<ReturnType<Machine["shell"]>>;

/** The flags of every command that can hold a terminal. */
export interface TerminalFlags {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly escape?: "on" | "off";
}

export const escapeFlag: Flag = {
  flags: "--escape <use>",
  description: "in a terminal: off: Ctrl-] and ~. go to the guest too, and don't leave (default: on)",
  choices: ["on", "off"],
};

export const terminalFlags: readonly Flag[] = [
  {
    flags: "-i, --interactive",
    description: "pass standard input on, also where it is a terminal (what is piped in is passed on anyway)",
  },
  {
    flags: "-t, --tty",
    description: "run in a terminal; with -i it is yours: Ctrl-C and all other keys go to the guest",
  },
  escapeFlag,
];

const WITHOUT_A_TERMINAL =
  "Type the line in a terminal (over ssh, connect with 'ssh -t'), or leave out -t: what is piped in is passed on without it.";

/** Refuses what can't be meant, before a machine is started for it. */
export function checkTerminal({ tty }: TerminalFlags, context: Context): void {
  if (tty) requireTerminal("--tty", WITHOUT_A_TERMINAL, context);
}

/** `what` takes the user's terminal; `otherwise` is what helps where there is none. */
export function requireTerminal(what: string, otherwise: string, { io, json }: Context): void {
  if (json)
    throw new UsageError(`--json has one document on stdout, where ${what} has a terminal. Leave one out.`);
  if (!io.stdin.isTTY)
    throw new UsageError(`${what} needs a terminal, and standard input is none. ${otherwise}`);
}

/** What the guest is to know of the user's terminal. */
export function describeTerminal({ stdout, stderr, env }: Io) {
  const { columns, rows } = [stdout, stderr].find(({ isTTY }) => isTTY) ?? {};
  const { TERM } = env;
  return {
    ...(isCells(columns) && { columns }),
    ...(isCells(rows) && { rows }),
    ...(TERM && /^[\w.+-]{1,64}$/.test(TERM) && { term: TERM }),
  };
}

/**
 * Joins the user's terminal with one of the guest until what runs there ends, or the user leaves by the escape keys, or
 * the user's terminal is hung up: then what runs there is ended. Whatever happens, the user's terminal is as it was before.
 */
export async function holdTerminal(shell: Shell, flags: TerminalFlags, { io }: Context): Promise<Outcome> {
  const screen = watchScreen();
  const filter = flags.escape === "off" ? null : filterEscapes();
  let leave: (status: number) => void = () => {};
  const left = new Promise<number>((resolve) => {
    leave = resolve;
  });
  const stdin = flags.interactive ? io.stdin : new PassThrough();
  const detach = shell.attach(stdin, io.stdout, {
    onOutput: screen.take,
    onInput: (bytes) => {
      const filtered = filter?.(bytes) ?? { bytes, leaves: false };
      if (filtered.leaves) leave(STATUS.interrupted);
      return filtered.bytes;
    },
  });
  // They stay: a terminal that is gone says so more than once.
  for (const event of ["end", "close", "error"]) stdin.on(event, () => leave(STATUS.hungUp));
  const ended = shell.exited.then(({ exitCode }) => exitCode);
  try {
    return { status: await Promise.race([ended, left]), document: {}, text: "" };
  } finally {
    detach();
    if (io.stdout.isTTY) io.stdout.write(screen.restore());
    await shell.close();
  }
}

function isCells(value: number | undefined): value is number {
  return value !== undefined && value >= 1 && value <= 32_767;
}
