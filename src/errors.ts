/** What every error of this library carries besides its message. */
export interface SmolVMErrorOptions {
  /** The command or the change that mends it. */
  readonly remediation?: string | undefined;
  /** Facts for programs: what was given, what was seen. */
  readonly details?: object | undefined;
  readonly cause?: unknown;
}

/** The root of all errors this library throws. `code` is stable; `message` is one sentence. */
export class SmolVMError extends Error {
  readonly code: string;
  readonly remediation?: string;
  readonly details: object;

  constructor(code: string, message: string, options: SmolVMErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = options.details ?? {};
    if (options.remediation !== undefined) this.remediation = options.remediation;
  }
}

/** A bad argument: says which, what was given, what is allowed. Nothing was touched. */
export class ValidationError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("VALIDATION", message, options);
  }
}

export class VMNotFoundError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("VM_NOT_FOUND", message, options);
  }
}

export class VMAlreadyExistsError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("VM_ALREADY_EXISTS", message, options);
  }
}

/** The machine is in a state in which the call makes no sense; `remediation` names the call that helps. */
export class VMStateError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("VM_STATE", message, options);
  }
}

/** The host lacks something; `remediation` is the exact install command. */
export class HostError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("HOST", message, options);
  }
}

export class ImageError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("IMAGE", message, options);
  }
}

/** A machine did not come up. */
export class BootError extends SmolVMError {
  /** QEMU's command line, ready to paste into a shell. */
  readonly commandLine: string;
  /** The last of what QEMU wrote to stderr. */
  readonly qemuOutput: string;
  /** The last of what the guest's console showed. */
  readonly consoleTail: string;

  constructor(
    message: string,
    seen: { commandLine: string; qemuOutput: string; consoleTail: string },
    options?: SmolVMErrorOptions,
  ) {
    super("BOOT", message, { ...options, details: { ...seen, ...options?.details } });
    this.commandLine = seen.commandLine;
    this.qemuOutput = seen.qemuOutput;
    this.consoleTail = seen.consoleTail;
  }
}

export class NetworkError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("NETWORK", message, options);
  }
}

export class PortInUseError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("PORT_IN_USE", message, options);
  }
}

/** The command never ran. */
export class CommandExecutionUnavailableError extends SmolVMError {
  readonly vmId: string;
  readonly reason: string;

  /** `vmName`: by which people know the machine. */
  constructor(
    vmId: string,
    reason: string,
    remediation: string,
    { vmName, ...options }: SmolVMErrorOptions & { readonly vmName?: string | undefined } = {},
  ) {
    const machine = vmName === undefined ? vmId : `"${vmName}"`;
    super("COMMAND_EXECUTION_UNAVAILABLE", `Commands can't be run in machine ${machine}: ${reason}`, {
      ...options,
      remediation,
    });
    this.vmId = vmId;
    this.reason = reason;
  }
}

/** The link broke while the command ran: it may or may not have finished. */
export class CommandOutcomeUnknownError extends SmolVMError {
  readonly stdout: string;
  readonly stderr: string;

  constructor(message: string, printed: { stdout: string; stderr: string }, options?: SmolVMErrorOptions) {
    super("COMMAND_OUTCOME_UNKNOWN", message, options);
    this.stdout = printed.stdout;
    this.stderr = printed.stderr;
  }
}

/** A deadline passed; the work was ended and what it had printed is here. */
export class OperationTimeoutError extends SmolVMError {
  readonly operation: string;
  readonly timeoutSeconds: number;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    operation: string,
    timeoutSeconds: number,
    printed: { stdout: string; stderr: string } = { stdout: "", stderr: "" },
    options?: SmolVMErrorOptions,
  ) {
    const remediation =
      "Give it more time where it has a timeout of its own, and see whether this host or the guest is busy.";
    const message = `${operation} did not finish within ${timeoutSeconds} s`;
    super("OPERATION_TIMEOUT", message, { ...options, remediation: options?.remediation ?? remediation });
    this.operation = operation;
    this.timeoutSeconds = timeoutSeconds;
    this.stdout = printed.stdout;
    this.stderr = printed.stderr;
  }
}

/** The caller's AbortSignal ended the work; `cause` is the signal's reason. */
export class OperationAbortedError extends SmolVMError {
  readonly operation: string;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    operation: string,
    printed: { stdout: string; stderr: string } = { stdout: "", stderr: "" },
    options?: SmolVMErrorOptions,
  ) {
    super("OPERATION_ABORTED", `${operation} was aborted`, options);
    this.operation = operation;
    this.stdout = printed.stdout;
    this.stderr = printed.stderr;
  }
}

/** `check: true` and the command's exit code was not 0. */
export class CommandFailedError extends SmolVMError {
  readonly result: CommandResult;

  /** `lastWords`: the end of what it said on stderr, fit for a message. */
  constructor(
    result: CommandResult,
    { lastWords, ...options }: SmolVMErrorOptions & { readonly lastWords?: string } = {},
  ) {
    const how = result.signal === null ? `exit code ${result.exitCode}` : `signal ${result.signal}`;
    super("COMMAND_FAILED", `The command ended with ${how}${lastWords ? `: ${lastWords}` : ""}`, options);
    this.result = result;
  }
}

export class SnapshotNotFoundError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("SNAPSHOT_NOT_FOUND", message, options);
  }
}

export class SnapshotAlreadyExistsError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("SNAPSHOT_ALREADY_EXISTS", message, options);
  }
}

export class FileTransferError extends SmolVMError {
  constructor(message: string, options?: SmolVMErrorOptions) {
    super("FILE_TRANSFER", message, options);
  }
}

/** What a command that ran to its end left behind. */
export interface CommandResult {
  readonly command: string | readonly string[];
  /** 128 + n where signal n killed it. */
  readonly exitCode: number;
  /** For example "SIGKILL"; null where no signal killed it. */
  readonly signal: string | null;
  /** Decoded as UTF-8, invalid sequences as U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Uint8Array;
  readonly stderrBytes: Uint8Array;
  readonly ok: boolean;
  /** stdout without white space at its ends. */
  readonly output: string;
  /** True where more than `maxOutputBytes` came and the middle was dropped. */
  readonly truncated: { readonly stdout: boolean; readonly stderr: boolean };
  readonly durationMs: number;
  readonly timing: { readonly queueMs: number; readonly connectMs: number; readonly firstByteMs: number };
}
