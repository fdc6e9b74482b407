/** Linux's numbers, which are the guest's; the host's may differ. */
const NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

export const SIGNAL_NAMES: readonly string[] = Object.keys(NUMBERS);

/** The exit code a shell gives a process that this signal killed: 128 + n. */
export function exitCodeOfSignal(name: string): number {
  return 128 + (NUMBERS[name] ?? (Number(name.replace("SIG", "")) || 0));
}

/** The other way round; "SIG34" and the like where the number has no name. */
export function signalOfExitCode(code: number): string {
  return SIGNAL_NAMES.find((name) => NUMBERS[name] === code - 128) ?? `SIG${code - 128}`;
}
