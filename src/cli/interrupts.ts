import { STATUS } from "./failure.ts";
import type { InterruptName, Io } from "./io.ts";
import { say } from "./say.ts";

/** What a shell reports of a process that the signal killed. */
const STATUSES: Readonly<Record<InterruptName, number>> = {
  SIGHUP: STATUS.hungUp,
  SIGINT: STATUS.interrupted,
  SIGTERM: 143,
};
const STATUS_OF_SIGPIPE = 141;

export interface Interrupts {
  readonly signal: AbortSignal;
  /** The exit status that the first interruption asks for; null while there was none. */
  readonly status: number | null;
  close(): void;
}

/**
 * Turns Ctrl-C, SIGTERM, SIGHUP and a stdout closed by its reader into one AbortSignal, so that commands end by unwinding and leave nothing
 * behind. A second signal ends the process at once; ephemeral machines die with it all the same.
 */
export function watchInterrupts(io: Io): Interrupts {
  const controller = new AbortController();
  let status: number | null = null;
  const interrupt = (reason: string, asked: number) => {
    status ??= asked;
    controller.abort(new Error(reason));
  };
  const close = io.onInterrupt((name) => {
    if (status !== null) process.exit(status);
    interrupt(name, STATUSES[name]);
  });
  io.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return interrupt("stdout was closed", STATUS_OF_SIGPIPE);
    if (status === null) say(io.stderr, `smolvm: stdout can't be written to: ${error.message}\n`);
    interrupt(error.message, STATUS.failed);
  });
  return {
    signal: controller.signal,
    get status() {
      return status;
    },
    close,
  };
}
